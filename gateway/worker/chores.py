"""Chores: what time brings, done again and again; each is one transaction or several, and safe to do twice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from psycopg_pool import ConnectionPool

from commerce.desk import Desk
from gateway import clock
from gateway.bench import comparisons, drift, shadow
from gateway.lifecycle import aging, retention
from gateway.replenish import habits, learn, prompts, score
from gateway.settings import Settings

IDLE_S = 0.5  # between looks for units to score, when there were none
PROMPTS_S = 1.0
AGED_S = 10.0
LEARN_S = 60.0
RESUME_S = 30.0
PARTITIONS_S = 3_600.0
RETENTION_S = 3_600.0
SHADOW_S = 5.0
DRIFT_S = 600.0
COMPARISONS_S = 5.0
MONTHS_AHEAD = timedelta(days=62)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Chore:
    """Something done again and again; `work` returns whether there may be more at once."""

    name: str
    every_s: float
    work: Callable[[], bool]


class Chores:
    """A worker's chores. `pool` is open and in the gateway's role."""

    def __init__(self, settings: Settings, pool: ConnectionPool, desk: Desk) -> None:
        self.settings = settings
        self.pool = pool
        self.desk = desk

    @contextmanager
    def begin(self) -> Iterator[psycopg.Connection[Any]]:
        """Yield a connection in one transaction that sees every tenant; commit at the end."""
        with self.pool.connection() as conn:
            yield conn

    def chores(self) -> tuple[Chore, ...]:
        """Return everything that is done again and again."""
        return (
            Chore("score", IDLE_S, self.score),
            Chore("aged", AGED_S, self.want_aged),
            Chore("prompts", PROMPTS_S, self.speak),
            Chore("learn", LEARN_S, self.learn),
            Chore("habits", LEARN_S, self.learn_habits),
            Chore("shadow", SHADOW_S, self.forecast_beside),
            Chore("drift", DRIFT_S, self.look_for_drift),
            Chore("comparisons", COMPARISONS_S, self.compare),
            Chore("resume", RESUME_S, self.resume),
            Chore("partitions", PARTITIONS_S, self.make_partitions),
            Chore("retention", RETENTION_S, self.let_go),
            Chore("aging", RETENTION_S, self.age_readings),
        )

    def score(self) -> bool:
        """Score units that have news."""
        with self.begin() as conn:
            return score.score_waiting(conn, clock.now()) > 0

    def want_aged(self) -> bool:
        """Have slots scored again that nobody spoke of for a day."""
        with self.begin() as conn:
            score.want_aged(conn, clock.now())
        return False

    def speak(self) -> bool:
        """Ask the owners who are to be asked now."""
        with self.begin() as conn:
            asked = prompts.speak(conn, clock.now())
        if asked:
            log.info("prompts", count=len(asked))
        return False

    def learn(self) -> bool:
        """Learn from finished cycles, one slot's model at a time."""
        with self.begin() as conn:
            ripe = learn.ripe(conn)
        for slot_id in ripe:
            try:
                with self.begin() as conn:
                    if not learn.claim(conn, slot_id):
                        continue
                    version = learn.learn(conn, slot_id, clock.now())
            except (ValueError, ArithmeticError, LookupError):  # it keeps no other from learning
                log.exception("not learned", slot_id=slot_id)
            else:
                log.info("learned", slot_id=slot_id, model_version_id=version)
        return False

    def learn_habits(self) -> bool:
        """Learn how units are used, one slot at a time."""
        with self.begin() as conn:
            stale = habits.stale(conn, clock.now())
        for slot_id in stale:
            try:
                with self.begin() as conn:
                    units = habits.learn(conn, slot_id, clock.now())
            except (ValueError, ArithmeticError, LookupError):
                log.exception("habits not learned", slot_id=slot_id)
            else:
                log.info("habits learned", slot_id=slot_id, units=units)
        return False

    def forecast_beside(self) -> bool:
        """Let challengers forecast in the shadow of the champions."""
        with self.begin() as conn:
            return shadow.forecast_beside(conn) > 0

    def compare(self) -> bool:
        """Work out a comparison that staff asked for in the console."""
        with self.begin() as conn:
            return comparisons.answer(conn, clock.now())

    def look_for_drift(self) -> bool:
        """Look once a day at each slot whether the world still is the one that its model learned from."""
        now = clock.now()
        with self.begin() as conn:
            slots = drift.aged(conn, now)
        for slot_id in slots:
            try:
                with self.begin() as conn:
                    alarms = drift.watch(conn, slot_id, now)
            except (ValueError, ArithmeticError, LookupError):  # it keeps no other from being looked at
                log.exception("not looked at for drift", slot_id=slot_id)
            else:
                if alarms:
                    log.warning("drift", slot_id=slot_id, alarms=alarms)
        return False

    def resume(self) -> bool:
        """Find again what payments left open."""
        with self.begin() as conn:
            tenants = [row[0] for row in conn.execute("select tenant_id from tenant order by tenant_id")]
        for tenant_id in tenants:
            try:
                self.desk.resume(tenant_id)
            except ExceptionGroup:  # one tenant's trouble keeps no other waiting
                log.exception("payments left open", tenant_id=tenant_id)
        return False

    def make_partitions(self) -> bool:
        """Have the store's partitions ready before readings come."""
        now = clock.now()
        with self.begin() as conn:
            conn.execute("select reading_partitions(%s, %s)", (now - MONTHS_AHEAD, now + MONTHS_AHEAD))
        return False

    def let_go(self) -> bool:
        """Let go of rows that have done their work and are old."""
        with self.begin() as conn:
            gone = retention.let_go(conn, self.settings, clock.now())
        if any(gone.values()):
            log.info("let go", rows=gone)
        return any(count >= retention.BATCH for count in gone.values())

    def age_readings(self) -> bool:
        """Have readings compressed that are no more expected late, and let go of those that had their time."""
        with self.begin() as conn:
            aging.compress(conn, self.settings)
        with self.begin() as conn:
            gone = aging.let_go(conn, self.settings, clock.now())
        if gone:
            log.info("readings let go", partitions=gone)
        return False
