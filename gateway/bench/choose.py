"""Contenders by the names that people give them: a predictor, a version's number, or the champion."""

import difflib
from dataclasses import replace
from datetime import datetime

import psycopg

from gateway.bench import contender, release, shadow
from gateway.bench.contender import Contender
from gateway.bench.damaged import Damaged
from gateway.bench.record import Record
from gateway.errors import Conflict, NotFound
from gateway.registry.models import Slot
from gateway.replenish import versions, way
from predictors.artifact import DamagedArtifact
from predictors.registry import MODELS, named

CHAMPION = "champion"
SHADOW = "shadow"


def choose(conn: psycopg.Connection, record: Record, name: str) -> Contender:
    """Return the contender of a name.

    `hit` is a way of learning, `12` a version, `champion` what is in force, `shadow` what forecasts beside it, judged
    since it does.

    Raises NotFound, naming what there is, and Damaged where a version cannot be read.
    """
    if name == CHAMPION:
        stands = release.in_force(conn, record.slot)
        if stands is None or stands.model_version_id is None:
            return declared(record)
        return of_version(conn, record, stands.model_version_id)
    if name == SHADOW:
        challenger = shadow.live(conn, record.slot.slot_id)
        if challenger is None:
            raise NotFound("no challenger forecasts in the shadow; start one with: wearwell model shadow SLOT VERSION")
        found = of_version(conn, record, challenger.model_version_id)
        return replace(found, since_d=record.day(challenger.started_at))
    if name.isdigit():
        return of_version(conn, record, int(name))
    return contender.recipe(known(name))


def against(of: Slot, challenger: Contender) -> str:
    """Return whom a challenger meets: the slot's own way of learning for another way, else what is in force."""
    return of.predictor if challenger.refitted else CHAMPION


def pair(
    conn: psycopg.Connection, record: Record, challenger: str, champion: str | None = None, option: str = "--champion"
) -> tuple[Contender, Contender]:
    """Return the champion and the challenger of these names; without a champion's, the one that the challenger meets.

    option: by which the command that asks names a champion.
    Raises Conflict where both are the same, and what choose() raises.
    """
    other = choose(conn, record, challenger)
    one = choose(conn, record, champion or against(record.slot, other))
    if one.name == other.name:
        others = ", ".join(sorted(MODELS.keys() - {other.name}))
        beside = f"{CHAMPION} is what is in force" if other.refitted else f"{other.predictor} is its way of learning"
        raise Conflict(
            f"{other.name} would be compared with itself; name another challenger ({others}, or a version's number),"
            f" or another champion: {option} {beside}"
        )
    return one, other


def known(name: str) -> str:
    """Return the name of a predictor. Raises NotFound with the nearest that there is."""
    if name not in MODELS:
        close = difflib.get_close_matches(name, MODELS, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else "."
        raise NotFound(f"no predictor is called {name!r}{meant} There are {', '.join(sorted(MODELS))}")
    return name


def of_version(conn: psycopg.Connection, record: Record, version_id: int) -> Contender:
    """Return a version as it is, judged on what was forecast since the day up to which it had learned."""
    version = versions.get(conn, version_id)
    if version.slot_id != record.slot.slot_id:
        own = (
            ", ".join(str(each.model_version_id) for each in versions.of_slot(conn, record.slot.slot_id)) or "none yet"
        )
        raise NotFound(f"version {version_id} is of another slot; those of {record.slot.code!r}: {own}")
    try:
        model = versions.model(conn, version_id)
    except DamagedArtifact as damaged:
        raise Damaged(f"version {version_id} cannot be read: {damaged}") from None
    title = f"version {version_id} ({version.predictor})"
    as_of = version.fitted_on.get("as_of")
    since = datetime.fromisoformat(as_of) if as_of else version.created_at
    return contender.version(title, model, record.day(since), version_id)


def declared(record: Record) -> Contender:
    """Return the slot's declaration alone, which has learned nothing and may be judged from the first day."""
    model = named(record.slot.predictor)(way.declared(record.slot))
    return contender.version(f"declaration ({record.slot.predictor})", model, -float("inf"))
