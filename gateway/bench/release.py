"""Release and roll-back: which version forecasts a slot, by whom, with a note; both are rows that are only added."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import psycopg

from gateway import clock
from gateway.bench import read, shadow
from gateway.bench.damaged import Damaged
from gateway.errors import Conflict
from gateway.registry import audit, models
from gateway.registry.models import Slot
from gateway.replenish import learn, releases, versions, way
from gateway.replenish.releases import Release
from predictors.artifact import DamagedArtifact


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What forecasts a slot after a roll-back: a version, or with None its declaration alone.

    not_asked: versions that are released above it, the last first, as unasked() returns them. words: the same as
    sentences for whoever rolled back, on the command line or in a notebook.
    """

    version: int | None
    not_asked: list[int]
    words: list[str]


def release(conn: psycopg.Connection, version_id: int, *, actor: str, note: str, now: datetime) -> Slot:
    """Let a version forecast its slot from now on and return the slot. The caller commits.

    Raises NotFound, Damaged, and Conflict where it is in force already, was made for another end, other levels or
    covariates than are declared now, or no note says why.
    """
    if not note.strip():
        raise Conflict("a release needs a note that says why")
    version = versions.get(conn, version_id)
    slot = _held(conn, version.slot_id)
    try:
        model = versions.model(conn, version_id)
    except DamagedArtifact as damaged:
        stands = in_force(conn, slot)
        raise Damaged(f"version {version_id} is not released: {damaged}; {_named(stands)} stays in force") from None
    stands = in_force(conn, slot)
    if not way.answers(model, slot):
        raise Conflict(
            f"version {version_id} is not released: it was made for another end, other levels or covariates than"
            f" {slot.code!r} declares now, and would not be asked; {_named(stands)} stays in force."
            f" Fit one with: wearwell model fit {read.called(conn, slot)}"
        )
    if stands is not None and stands.model_version_id == version_id:
        raise Conflict(f"version {version_id} is in force already")
    releases.record(conn, slot, "release", version_id, version.predictor, actor=actor, note=note.strip(), now=now)
    _note(conn, slot, "model_released", actor, {"model_version_id": version_id, "note": note.strip()})
    shadow.take_over(conn, slot, version_id, actor=actor, now=now)
    return models.get_slot(conn, slot.slot_id)


def rollback(
    conn: psycopg.Connection, slot_id: int, *, actor: str, note: str, now: datetime, last: int | None = None
) -> RolledBack:
    """Take the last release off again and return what is in force then.

    That is not the version released before where that one does not answer any more. `last` is the row of the log that
    was the last one when this was decided: a roll-back names no version, so pressed twice, or after somebody else
    decided, it would take back another release than was meant.
    Raises Conflict where nothing is released, or `last` is the last one no more.
    """
    slot = _held(conn, slot_id)
    rows = releases.log(conn, slot_id)
    if last is not None and (not rows or rows[-1].release_id != last):
        raise Conflict("something was released or rolled back since this page was opened; open it again and look")
    stack = releases.standing(rows)
    if not stack:
        raise Conflict(
            f"nothing is released for the slot {slot.code!r}: it is forecast from its declaration;"
            " release a version with: wearwell model release VERSION"
        )
    gone, below = stack[-1], stack[:-1]
    stands = learn.topmost(conn, replace(slot, predictor=gone.predictor_before), below).version
    back = stands.model_version_id if stands else None
    releases.record(conn, slot, "rollback", back, gone.predictor_before, actor=actor, note=note.strip(), now=now)
    told = {"model_version_id": back, "instead_of": gone.model_version_id, "note": note.strip()}
    above = unasked(conn, slot_id, back)
    _note(conn, slot, "model_rolled_back", actor, {**told, "not_asked": above})
    if back is not None:
        shadow.take_over(conn, slot, back, actor=actor, now=now)
    return RolledBack(back, above, _words(slot, read.called(conn, slot), back, above))


def _words(slot: Slot, called: str, back: int | None, above: list[int]) -> list[str]:
    what = f"version {back}" if back is not None else "the declaration alone"
    return [
        *(
            f"version {version} is released but not asked: it was made for another predictor, end, levels or covariates"
            f" than are declared now, or cannot be read; fit one with: wearwell model fit {called}"
            for version in above
        ),
        f"{what} forecasts {slot.code!r} {'from now on' if above else 'again'}",
    ]


def last(conn: psycopg.Connection, slot_id: int) -> int | None:
    """Return the last row of a slot's log, that a roll-back is decided by; None where it has none."""
    rows = releases.log(conn, slot_id)
    return rows[-1].release_id if rows else None


def unasked(conn: psycopg.Connection, slot_id: int, stands: int | None) -> list[int]:
    """Return the versions released above the one that stands, the last first.

    They are not asked: they were made for another predictor, end, levels or covariates than are declared now, or cannot
    be read.
    """
    stack = reversed(releases.standing(releases.log(conn, slot_id)))
    above = [each.model_version_id for each in itertools.takewhile(lambda one: one.model_version_id != stands, stack)]
    return [version_id for version_id in above if version_id is not None]


def in_force(conn: psycopg.Connection, slot: Slot) -> Release | None:
    """Return the release that a slot's forecasts come from, None while its declaration alone does."""
    version = learn.in_force(conn, slot).version
    stack = releases.standing(releases.log(conn, slot.slot_id))
    return next(
        (each for each in reversed(stack) if version and each.model_version_id == version.model_version_id), None
    )


def _named(stands: Release | None) -> str:
    return f"version {stands.model_version_id}" if stands else "the declaration"


def _held(conn: psycopg.Connection, slot_id: int) -> Slot:
    releases.hold(conn, slot_id)
    return models.get_slot(conn, slot_id)


def _note(conn: psycopg.Connection, slot: Slot, action: str, actor: str, detail: Mapping[str, object]) -> None:
    full = {"slot_id": slot.slot_id, **detail}
    audit.note(conn, actor=actor, action=action, wall=clock.wall(), tenant_id=slot.tenant_id, detail=full)
