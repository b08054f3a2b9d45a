"""Fitting a version from the deployment's own history; taking one in from a file, and giving one out."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from gateway.bench.crew import INLINE, Crew, Lesson
from gateway.bench.crew import fit as learn
from gateway.bench.damaged import Damaged
from gateway.bench.record import Record
from gateway.errors import Conflict
from gateway.registry.models import Slot
from gateway.replenish import versions, way
from gateway.replenish.versions import Version
from predictors.artifact import DamagedArtifact
from predictors.registry import load, named


def fit(conn: psycopg.Connection, record: Record, predictor: str, *, note: str, now: datetime) -> Version:
    """Fit a predictor from everything that has arrived and keep it as an immutable version; release nothing.

    The same model fitted from the same data is the same version. Raises LookupError for an unknown predictor.
    """
    (version,) = fit_all(conn, [(record, predictor)], note=note, now=now)
    return version


def fit_all(
    conn: psycopg.Connection,
    wanted: Sequence[tuple[Record, str]],
    *,
    note: str,
    now: datetime,
    crew: Crew = INLINE,
) -> list[Version]:
    """Fit a predictor for each record as fit() does; a crew fits them at once, each the same to the bit."""
    models = learn(crew, [_lesson(record, predictor) for record, predictor in wanted])
    kept = []
    for (record, _), model in zip(wanted, models, strict=True):
        finished, running = record.known_by(record.until_d)
        until = record.date(record.until_d)
        fitted_on = versions.fitted_on(record.slot, finished, running, until, record.siblings.versions(until))
        said = note or f"fitted from {len(finished)} finished and {len(running)} running cycles"
        sealed = model.to_artifact()
        kept.append(_kept(conn, record.slot, sealed, labels=len(finished), note=said, fitted_on=fitted_on, now=now))
    return kept


def _lesson(record: Record, predictor: str) -> Lesson:
    history = record.history_by(record.until_d, hours_only=named(predictor).hours_only)
    return Lesson(predictor, way.declared(record.slot), history, record.family_by(record.until_d))


def export(conn: psycopg.Connection, version_id: int) -> dict[str, Any]:
    """Return a version's artifact, sealed with its sha256, after having read it. Raises NotFound, Damaged."""
    sealed = versions.artifact(conn, version_id)
    try:
        load(sealed)
    except DamagedArtifact as damaged:
        raise Damaged(f"version {version_id} is not exported: {damaged}") from None
    return sealed


def take_in(conn: psycopg.Connection, slot: Slot, text: str, *, note: str, now: datetime) -> Version:
    """Keep an artifact from a file as a version of a slot; release nothing.

    Raises Damaged where the file is no artifact or was changed, Conflict where it was made for another declaration.
    What is in force stays in either case.
    """
    try:
        sealed = json.loads(text)
        model = load(sealed if isinstance(sealed, Mapping) else {})
    except (json.JSONDecodeError, RecursionError):
        raise Damaged(
            "the file is refused: it is not JSON; what is in force stays."
            " Name one that was written by: wearwell model export VERSION --out FILE"
        ) from None
    except ValueError as damaged:  # DamagedArtifact is one
        raise Damaged(
            f"the artifact is refused: {damaged}; what is in force stays."
            " Export it again with: wearwell model export VERSION --out FILE"
        ) from None
    if model.declaration != way.declared(slot):
        raise Conflict(
            f"the artifact was made for {_said(model.declaration)}, and the slot {slot.code!r} is declared as"
            f" {_said(way.declared(slot))}; what is in force stays. Fit one here with: wearwell model fit"
        )
    said = note or "taken in from a file"
    return _kept(conn, slot, dict(sealed), labels=0, note=said, fitted_on={"from": "a file"}, now=now)


def _said(declaration: object) -> str:
    text = repr(declaration)
    return text[text.index("(") + 1 : -1]


def _kept(
    conn: psycopg.Connection,
    slot: Slot,
    sealed: dict[str, Any],
    *,
    labels: int,
    note: str,
    fitted_on: dict[str, Any],
    now: datetime,
) -> Version:
    version_id = versions.keep(conn, slot, sealed, labels=labels, note=note, fitted_on=fitted_on, now=now)
    if version_id is None:
        same = [each for each in versions.of_slot(conn, slot.slot_id) if each.sha256 == sealed["sha256"]]
        return same[0]
    return versions.get(conn, version_id)
