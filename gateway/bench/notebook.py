"""The bench from a notebook: a few functions, arrays and dataclasses out. docs/bench.md has an example for each task.

Nothing here commits: a version that was fitted or released stays once the connection is committed.
"""

from collections.abc import Mapping
from datetime import datetime

import psycopg

from gateway import clock, settings
from gateway.bench import choose, evaluate, fit, plots, read, release, shadow, staff
from gateway.bench import compare as comparing
from gateway.bench import drift as watching
from gateway.bench import explain as explaining
from gateway.bench import report as reporting
from gateway.bench import whatif as replaying
from gateway.bench.backtest import Backtest, backtest, origins
from gateway.bench.compare import Comparison, Rule
from gateway.bench.drift import Finding
from gateway.bench.evaluate import Evaluation
from gateway.bench.explain import Explanation
from gateway.bench.record import Record
from gateway.bench.release import RolledBack
from gateway.bench.replay import Outcome
from gateway.bench.report import Report
from gateway.bench.whatif import Change, WhatIf
from gateway.db import embedded, pool
from gateway.errors import ConfigurationError
from gateway.registry import models, units
from gateway.replenish.versions import Version

__all__ = ["Change", "Rule"]


def connect(dsn: str | None = None) -> psycopg.Connection:
    """Open a connection to a deployment's database: the one named, else the one that the commands use.

    That is WEARWELL_DATABASE_DSN, else what `wearwell up` embedded in WEARWELL_DATA_DIR, started if it does not run.
    Raises ConfigurationError where there is neither.
    """
    if dsn is None:
        usual = settings.load()
        if usual.database_dsn:
            dsn = usual.database_dsn.get_secret_value()
        elif (usual.data_dir / "postgres").is_dir():
            dsn = embedded.login(usual.data_dir.resolve())
        else:
            raise ConfigurationError(
                f"there is no database in {usual.data_dir}; name one: notebook.connect(DSN), or set"
                " WEARWELL_DATABASE_DSN, or WEARWELL_DATA_DIR as for wearwell up"
            )
    return pool.connect(dsn, pool.Role.GATEWAY)


def load(conn: psycopg.Connection, slot: str, until: datetime | None = None) -> Record:
    """Return the record of a slot, named `GTIN/code`, as it had arrived by `until` (UTC), else by now."""
    return read.record(conn, read.slot(conn, slot), until or clock.now())


def measure(conn: psycopg.Connection, record: Record, model: str | None = None, days: int = 12) -> Evaluation:
    """Return how a model does, fitted anew on so many days: a predictor, a version's number, champion or shadow."""
    chosen = choose.choose(conn, record, model or record.slot.predictor)
    return evaluate.evaluate(record, chosen, origins(record, days))


def forecasts(conn: psycopg.Connection, record: Record, model: str, days: int = 12) -> Backtest:
    """Return what a model would have said of every snapshot: arrays of end-of-life days since record.epoch."""
    return backtest(record, choose.choose(conn, record, model), origins(record, days))


def life_curve(record: Record) -> list[tuple[float, float, int, int]]:
    """Return (age in days, share that lasts longer, ends at that age, at risk) over all cycles, censored ones too."""
    return plots.survival(record)


def compare(
    conn: psycopg.Connection, record: Record, pair: tuple[str, str], rule: Rule | None = None, days: int = 12
) -> Comparison:
    """Return a pair, champion and challenger, on identical snapshots, by a rule; by default the declared one."""
    champion, challenger = choose.pair(conn, record, pair[1], pair[0])
    fixed = rule or comparing.declared_rule(conn, record.slot.tenant_id)
    return comparing.compare(record, champion, challenger, fixed, at=origins(record, days))


def what_if(record: Record, change: Change, predictor: str | None = None) -> WhatIf:
    """Return the history replayed with another threshold, delivery time or costs beside what stands."""
    return replaying.whatif(record, change, predictor)


def trade_off(record: Record, predictor: str | None = None) -> Mapping[str, Outcome]:
    """Return replays by how many times a day early a day late costs: days thrown away against days late."""
    return {outcome.contender: outcome for outcome in replaying.trade_off(record, predictor)}


def fit_version(conn: psycopg.Connection, record: Record, predictor: str, note: str = "") -> Version:
    """Fit a predictor on the record and keep it as an immutable version; release nothing."""
    return fit.fit(conn, record, choose.known(predictor), note=note, now=clock.now())


def release_version(conn: psycopg.Connection, version: Version, by: str, note: str) -> None:
    """Let a version forecast its slot from now on; `by` is the address of an editor or admin."""
    slot = models.get_slot(conn, version.slot_id)
    release.release(
        conn, version.model_version_id, actor=staff.actor(conn, slot.tenant_id, by), note=note, now=clock.now()
    )


def roll_back(conn: psycopg.Connection, record: Record, by: str, note: str = "") -> RolledBack:
    """Take the last release back and return what is in force then: `version`, `not_asked`, and both in `words`."""
    actor = staff.actor(conn, record.slot.tenant_id, by)
    return release.rollback(conn, record.slot.slot_id, actor=actor, note=note, now=clock.now())


def shadow_version(conn: psycopg.Connection, version: Version, by: str) -> None:
    """Let a version forecast beside the champion and tell nobody."""
    slot = models.get_slot(conn, version.slot_id)
    shadow.start(conn, version.model_version_id, actor=staff.actor(conn, slot.tenant_id, by), now=clock.now())


def explain(conn: psycopg.Connection, unit: str, slot: str | None = None) -> Explanation:
    """Return why the last forecast of a unit says what it says, in words and in numbers."""
    return explaining.explain(conn, units.named(conn, unit), slot, clock.now())


def drift(record: Record) -> list[Finding]:
    """Return what five tests find in the last weeks against what came before."""
    return watching.look(record)


def report(
    conn: psycopg.Connection, record: Record, champion: str, challenger: str = "rated", days: int = 12
) -> Report:
    """Return the report: `as_html()` is one page, `as_json()` the same data."""
    pair = choose.pair(conn, record, challenger, champion)
    rule = comparing.declared_rule(conn, record.slot.tenant_id)
    product = read.product(conn, record.slot)
    return reporting.report(record, pair[0], pair[1], product=product, rule=rule, count=days)
