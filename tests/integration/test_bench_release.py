"""Versions, releases and shadows: immutable, append-only, each forecast traceable to what made it."""

import copy
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from gateway.bench import choose, explain, fit, listing, read, release, shadow, staff
from gateway.bench.damaged import Damaged
from gateway.bench.staff import MayNotRelease
from gateway.db import pool
from gateway.errors import Conflict, NotFound
from gateway.notify.reasons import Reason
from gateway.registry import models, units
from gateway.registry import staff as members
from gateway.registry.models import Slot
from gateway.replenish import learn, releases, score, versions, why
from tests import bench_field
from tests.bench_field import at

NOW = at(500.0)
LATER = NOW + timedelta(days=1)


@pytest.fixture
def slot(conn: psycopg.Connection) -> Slot:
    return bench_field.store(conn, bench_field.field(homes=12, days=400.0))


def fitted(conn: psycopg.Connection, slot: Slot, predictor: str = "weibull", now: datetime = NOW) -> int:
    record = read.record(conn, slot, now)
    return fit.fit(conn, record, predictor, note="", now=now).model_version_id


def spoil(conn: psycopg.Connection, dsn: str, version_id: int) -> None:
    """Change a learned number behind the gateway's back, as a bad disk or a bad hand would."""
    conn.commit()
    with psycopg.connect(dsn) as owner:
        owner.execute(
            """update wearwell.model_version set artifact = jsonb_set(artifact, '{learned,age,shape}', '9.5')
               where model_version_id = %s""",
            (version_id,),
        )


def test_the_same_data_give_the_same_version(conn: psycopg.Connection, slot: Slot) -> None:
    """Fitting again from what was there already makes no second version; it says what it was learned from."""
    first = fitted(conn, slot)
    assert first == fitted(conn, slot)
    on = versions.get(conn, first).fitted_on
    assert {"as_of", "finished", "ends", "running", "data_sha256", "siblings", "cost_early", "cost_late"} == set(on)
    assert 0 < on["ends"] < on["finished"]


def test_a_version_cannot_be_changed(conn: psycopg.Connection, slot: Slot) -> None:
    """Not by the gateway's own hands: what forecasts name stays what it was."""
    version_id = fitted(conn, slot)
    for change in ("update model_version set note = ''", "delete from model_version", "delete from model_release"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
            conn.execute(change)
    assert version_id == versions.get(conn, version_id).model_version_id


def test_release_and_rollback_are_one_step_each(conn: psycopg.Connection, slot: Slot) -> None:
    """Two releases, two roll-backs: the one before stands again, then the declaration; the log keeps all four."""
    one, two = fitted(conn, slot, "weibull"), fitted(conn, slot, "hit")
    release.release(conn, one, actor="staff:1", note="first", now=NOW)
    after = release.release(conn, two, actor="staff:2", note="levels do better", now=LATER)
    assert ("hit", two) == (after.predictor, _version(conn, after))
    assert one == release.rollback(conn, slot.slot_id, actor="staff:1", note="too wide", now=LATER).version
    back = models.get_slot(conn, slot.slot_id)
    assert ("weibull", one) == (back.predictor, _version(conn, back))
    assert release.rollback(conn, slot.slot_id, actor="staff:1", note="", now=LATER).version is None
    assert _version(conn, models.get_slot(conn, slot.slot_id)) is None
    with pytest.raises(Conflict, match="nothing is released"):
        release.rollback(conn, slot.slot_id, actor="staff:1", note="", now=LATER)
    said = [(row["what"], row["in_force"], row["by"], row["note"]) for row in listing.audit(conn, slot)]
    assert [
        ("rollback", None, "staff:1", ""),
        ("rollback", one, "staff:1", "too wide"),
        ("release", two, "staff:2", "levels do better"),
        ("release", one, "staff:1", "first"),
    ] == said
    noted = conn.execute("select actor, action from audit order by audit_id").fetchall()
    assert [("staff:1", "model_released"), ("staff:2", "model_released")] == noted[:2]


def test_a_rollback_says_what_is_truly_in_force(conn: psycopg.Connection, slot: Slot) -> None:
    """The version released before was made for another end: it is not asked, and no log says that it is."""
    one = fitted(conn, slot)
    release.release(conn, one, actor="staff:1", note="first", now=NOW)
    conn.execute("update slot set indicator_eol = 190")
    two = fitted(conn, models.get_slot(conn, slot.slot_id))
    release.release(conn, two, actor="staff:1", note="the other end", now=NOW)
    assert [] == release.unasked(conn, slot.slot_id, two)
    back = release.rollback(conn, slot.slot_id, actor="staff:1", note="", now=LATER)
    assert (None, [one]) == (back.version, back.not_asked)
    assert f"version {one} is released but not asked" in back.words[0]
    assert "the declaration alone forecasts 'hepa' from now on" == back.words[-1]
    assert [one] == release.unasked(conn, slot.slot_id, None)
    assert ("rollback", None) == tuple(listing.audit(conn, slot)[0][name] for name in ("what", "in_force"))
    noted = conn.execute("select detail from audit order by audit_id desc limit 1").fetchone()
    assert noted
    assert (None, two, [one]) == tuple(noted[0][name] for name in ("model_version_id", "instead_of", "not_asked"))


def test_a_slot_declared_anew_is_ripe_until_it_is_learned_anew(conn: psycopg.Connection, slot: Slot) -> None:
    """What a version learned that is not asked any more does not count; other rated days let it count."""
    assert [slot.slot_id] == learn.ripe(conn)
    one = learn.learn(conn, slot.slot_id, NOW)
    assert [] == learn.ripe(conn)
    conn.execute("update slot set life_d = 120")
    assert [] == learn.ripe(conn)
    conn.execute("update slot set indicator_eol = 190")
    assert [slot.slot_id] == learn.ripe(conn)
    two = learn.learn(conn, slot.slot_id, LATER)
    assert (True, two) == (one != two, _version(conn, models.get_slot(conn, slot.slot_id)))
    assert [] == learn.ripe(conn)


def test_of_two_workers_one_learns(conn: psycopg.Connection, dsn: str, slot: Slot) -> None:
    """Both saw that it is time; the other neither waits nor does it again, which would release the same twice."""
    conn.commit()
    with pool.connect(dsn, pool.Role.GATEWAY) as one, pool.connect(dsn, pool.Role.GATEWAY) as other:
        assert [slot.slot_id] == learn.ripe(one) == learn.ripe(other)
        assert learn.claim(one, slot.slot_id)
        assert not learn.claim(other, slot.slot_id)
        learn.learn(one, slot.slot_id, NOW)
        one.commit()
        assert not learn.claim(other, slot.slot_id)


def test_what_staff_release_while_the_gateway_learns_stays_in_force(
    conn: psycopg.Connection, dsn: str, slot: Slot
) -> None:
    """The gateway began before anybody had decided, and finds their decision when it is done."""
    theirs = fitted(conn, slot, "hit")
    conn.commit()
    release.release(conn, theirs, actor="staff:1", note="levels do better", now=NOW)
    with pool.connect(dsn, pool.Role.GATEWAY) as other, ThreadPoolExecutor(1) as gateway:
        learned = gateway.submit(learn.learn, other, slot.slot_id, NOW)
        time.sleep(2.0)
        conn.commit()
        assert learned.result(60)
        other.commit()
    assert theirs == _version(conn, models.get_slot(conn, slot.slot_id))
    assert ["staff:1"] == [row["by"] for row in listing.audit(conn, slot)]


def _version(conn: psycopg.Connection, slot: Slot) -> int | None:
    chosen = learn.in_force(conn, slot)
    return chosen.version.model_version_id if chosen.version else None


def test_a_release_wants_a_note_and_is_not_done_twice(conn: psycopg.Connection, slot: Slot) -> None:
    """Who reads the log in a year wants to know why."""
    one = fitted(conn, slot)
    with pytest.raises(Conflict, match="note"):
        release.release(conn, one, actor="staff:1", note="  ", now=NOW)
    release.release(conn, one, actor="staff:1", note="first", now=NOW)
    with pytest.raises(Conflict, match="in force already"):
        release.release(conn, one, actor="staff:1", note="again", now=NOW)


def test_a_damaged_version_is_not_released_and_the_one_before_stays(
    conn: psycopg.Connection, dsn: str, slot: Slot
) -> None:
    """A changed number breaks the seal."""
    one = fitted(conn, slot, "weibull")
    release.release(conn, one, actor="staff:1", note="first", now=NOW)
    two = fitted(conn, slot, "hit")
    spoil(conn, dsn, two)
    with pytest.raises(Damaged, match=f"sha256.*version {one} stays in force"):
        release.release(conn, two, actor="staff:1", note="second", now=NOW)
    assert one == _version(conn, slot)
    with pytest.raises(Damaged):
        fit.export(conn, two)
    with pytest.raises(Damaged):
        choose.choose(conn, read.record(conn, slot, NOW), str(two))


def test_a_version_damaged_after_its_release_leaves_the_one_before_in_force(
    conn: psycopg.Connection, dsn: str, slot: Slot
) -> None:
    """Forecasts go on, from the last version that can be read."""
    one, two = fitted(conn, slot, now=at(300.0)), fitted(conn, slot, now=NOW)
    assert one != two
    release.release(conn, one, actor="staff:1", note="first", now=NOW)
    release.release(conn, two, actor="staff:1", note="second", now=NOW)
    assert two == _version(conn, slot)
    spoil(conn, dsn, two)
    assert one == _version(conn, slot)


def test_what_is_given_out_can_be_taken_in(conn: psycopg.Connection, slot: Slot) -> None:
    """The file is the version: taken in where it came from, it is the same row."""
    one = fitted(conn, slot, "hit")
    text = json.dumps(fit.export(conn, one))
    assert one == fit.take_in(conn, slot, text, note="", now=NOW).model_version_id


@pytest.mark.parametrize("harm", ["number", "cut", "empty", "other"])
def test_a_damaged_file_is_refused_and_all_stays(conn: psycopg.Connection, slot: Slot, harm: str) -> None:
    """A changed number, half a file, nothing, or another thing: refused with why, and no version more."""
    one = fitted(conn, slot, "hit")
    release.release(conn, one, actor="staff:1", note="first", now=NOW)
    sealed = copy.deepcopy(fit.export(conn, one))
    text = json.dumps(sealed)
    if harm == "number":
        sealed["learned"]["age"]["shape"] = 9.5
        text = json.dumps(sealed)
    text = {"cut": text[: len(text) // 2], "empty": "", "other": "[1, 2]"}.get(harm, text)
    with pytest.raises(Damaged, match="what is in force stays"):
        fit.take_in(conn, slot, text, note="", now=NOW)
    assert [one] == [each.model_version_id for each in versions.of_slot(conn, slot.slot_id)]
    chosen = learn.in_force(conn, models.get_slot(conn, slot.slot_id))
    assert one == (chosen.version and chosen.version.model_version_id)


def test_an_artifact_of_another_declaration_is_refused(conn: psycopg.Connection, slot: Slot) -> None:
    """Its levels are not this slot's: it would forecast nonsense."""
    text = json.dumps(fit.export(conn, fitted(conn, slot, "hit")))
    conn.execute("update slot set indicator_eol = 150")
    with pytest.raises(Conflict, match=r"indicator_eol=200.*declared as.*indicator_eol=150"):
        fit.take_in(conn, models.get_slot(conn, slot.slot_id), text, note="", now=NOW)


def test_only_editors_and_admins_of_the_maker_release(conn: psycopg.Connection, slot: Slot) -> None:
    """A reader, a stranger, and somebody who left may not."""
    ids = {
        role: members.create(
            conn, tenant_id=slot.tenant_id, email=f"{role}@example.com", password="long enough 1", role=role,
            wall=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for role in ("admin", "editor", "reader")
    }  # fmt: skip
    assert f"staff:{ids['editor']}" == staff.actor(conn, slot.tenant_id, "Editor@example.com")
    conn.execute("update staff set disabled_at = now() where staff_id = %s", (ids["admin"],))
    for email in ("reader@example.com", "nobody@example.com", "admin@example.com"):
        with pytest.raises(MayNotRelease, match="wearwell staff add"):
            staff.actor(conn, slot.tenant_id, email)
    with pytest.raises(MayNotRelease):
        staff.actor(conn, slot.tenant_id + 1, "editor@example.com")


def test_a_shadow_forecasts_beside_the_champion_and_tells_nobody(conn: psycopg.Connection, slot: Slot) -> None:
    """Same forecasts, same inputs, dates of its own; no message, no prompt, no state of a slot is touched."""
    challenger = fitted(conn, slot, "hit", at(300.0))
    shadow.start(conn, challenger, actor="staff:1", now=at(300.0))
    before = _told(conn)
    made = shadow.forecast_beside(conn)
    while again := shadow.forecast_beside(conn):
        made += again
    row = conn.execute(
        "select count(*) from forecast where made_at >= %s and slot_id = %s", (at(300.0), slot.slot_id)
    ).fetchone()
    assert row == (made,)
    assert made > 50
    assert before == _told(conn)
    model = versions.model(conn, challenger)
    record = read.record(conn, slot, NOW)
    place = int((record.snapshots.made_d >= 300.0).argmax())
    kept = conn.execute(
        "select eol_q50 from shadow_forecast where forecast_id = %s", (int(record.snapshots.forecast_id[place]),)
    ).fetchone()
    assert kept
    rows = record.snapshots.made_d == record.snapshots.made_d[place]
    left = model.forecast(record.batch.take(rows), (0.1, 0.5, 0.9), alive=record.seen.alive[rows]).eol_d[0, 1]
    expected = record.date(record.snapshots.made_d[place]) + timedelta(days=float(left))
    assert abs(kept[0] - expected) < timedelta(seconds=1)


def _told(conn: psycopg.Connection) -> list[tuple[object, ...]]:
    return [
        row
        for table in ("outbox", "prompt", "slot_state", "forecast", "event")
        for row in conn.execute(f"select '{table}', count(*) from {table}").fetchall()
    ]


def test_one_shadow_at_a_time_and_what_it_said_stays(conn: psycopg.Connection, slot: Slot) -> None:
    """Another challenger ends the one before; ended, nothing is added and nothing is lost."""
    one, two = fitted(conn, slot, "hit"), fitted(conn, slot, "weibull")
    shadow.start(conn, one, actor="staff:1", now=at(390.0))
    made = shadow.forecast_beside(conn)
    shadow.start(conn, two, actor="staff:1", now=at(600.0))
    assert [(one, True), (two, False)] == [
        (each.model_version_id, each.ended_at is not None) for each in shadow.of_slot(conn, slot.slot_id)
    ]
    assert 0 == shadow.forecast_beside(conn)
    assert two == shadow.end(conn, slot, actor="staff:1", now=at(601.0))
    with pytest.raises(NotFound, match="no challenger"):
        shadow.end(conn, slot, actor="staff:1", now=at(601.0))
    assert conn.execute("select count(*) from shadow_forecast").fetchone() == (made,)


def test_a_contender_meets_another_and_never_itself(conn: psycopg.Connection, slot: Slot) -> None:
    """A version by its number is the one in force; what it learned by, fitted anew on each day, is another."""
    one = fitted(conn, slot)
    release.release(conn, one, actor="staff:1", note="first", now=NOW)
    record = read.record(conn, slot, LATER)
    with pytest.raises(Conflict, match=r"with itself; .* --champion weibull is its way of learning"):
        choose.pair(conn, record, str(one))
    with pytest.raises(Conflict, match=r"with itself; .* --champion champion is what is in force"):
        choose.pair(conn, record, "weibull")
    assert [True, False] == [each.refitted for each in choose.pair(conn, record, "champion", "weibull")]
    assert "hit" == choose.pair(conn, record, "hit")[1].name


def test_a_forecast_names_the_version_that_made_it(conn: psycopg.Connection, slot: Slot) -> None:
    """From version to declaration to data: forecast, version, sha256 of what it learned from."""
    one = fitted(conn, slot)
    release.release(conn, one, actor="staff:1", note="first", now=NOW)
    unit = conn.execute("select unit_id from unit order by unit_id limit 1").fetchone()
    assert unit
    score.score_units(conn, [unit[0]], LATER)
    made = conn.execute("select model_version_id, predictor from forecast order by forecast_id desc limit 1").fetchone()
    assert made == (one, "weibull")
    assert 64 == len(versions.get(conn, one).fitted_on["data_sha256"])
    assert ["release"] == [each.kind for each in releases.log(conn, slot.slot_id)]


def test_a_forecast_tells_how_many_ends_its_version_saw(conn: psycopg.Connection, slot: Slot) -> None:
    """Parts that were taken out before their end are not told as ends; a version that did not count them says so."""
    version = versions.get(conn, fitted(conn, slot))
    ends = version.ends
    assert ends
    assert ends < version.labels
    release.release(conn, version.model_version_id, actor="staff:1", note="first", now=NOW)
    unit = units.by_code(conn, bench_field.GTIN, "H1")
    score.score_units(conn, [unit.unit_id], LATER)
    said = explain.explain(conn, unit, None, LATER)
    assert f"This is learned from {ends} parts that reached their end before it." in said.words
    assert (version.labels, ends) == (said.learned_from, said.ends_seen)
    old = replace(version, fitted_on={})
    assert [Reason("parts", float(version.labels))] == why.learned(old)
    assert [Reason("cohort_one")] == why.learned(replace(version, fitted_on={"ends": 1}))
    assert [] == why.learned(replace(version, fitted_on={"ends": 0}))
    assert [] == why.learned(None)
