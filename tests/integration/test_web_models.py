"""Models in the console: who sees and decides what, on whose slots, and that looking changes nothing."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from gateway import clock
from gateway.bench import compare, comparisons, contender, fit, listing, read, release, shadow
from gateway.bench.backtest import origins
from gateway.bench.choose import choose
from gateway.bench.plain import plain
from gateway.db import migrate as migrations
from gateway.db import pool
from gateway.registry import declaration, models
from gateway.registry.models import Slot
from tests import bench_field
from tests.bench_field import at
from tests.integration.test_web_console import csrf
from tests.integration.web_house import SAME, WebHouse, open_house

HOOD = "9520000000035"
ACTS = {
    "release": {"version": "1", "note": "why"},
    "rollback": {"note": "why", "last": "1"},
    "shadow": {"version": "1"},
    "shadow/end": {},
    "compare": {"challenger": "rated"},
}


@dataclass
class Field:
    """A maker's console over a year of history: its slot, two versions of its model."""

    house: WebHouse
    slot: Slot
    early: int
    late: int

    @property
    def path(self) -> str:
        return f"/console/models/{self.slot.slot_id}"

    def press(self, client: httpx.Client, act: str, **fields: str) -> httpx.Response:
        data = ACTS[act] | fields | {"csrf": csrf(client)}
        return client.post(f"{self.path}/{act}", data=data, headers=SAME)

    def last(self, client: httpx.Client) -> str:
        """Return the release that the page shows as the last one."""
        found = re.search(r'name="last" value="(\d+)"', client.get(self.path).text)
        return found[1] if found else "1"

    def standing(self) -> dict[int, str]:
        slot = models.get_slot(self.house.conn, self.slot.slot_id)
        return {row["version"]: row["stands"] for row in listing.listed(self.house.conn, slot)}


@pytest.fixture
def of(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Field]:
    """Ten months of history, one version that had learned by the seventh of them and one of today."""
    monkeypatch.setattr(clock, "now", lambda: at(300.0))
    with open_house(dsn) as house:
        conn = house.conn
        toml = bench_field.TOML.replace("4006381333931", HOOD).replace("Purifier", "Range hood")
        declaration.declare(conn, declaration.read(toml))
        slot = bench_field.fill(conn, HOOD.zfill(14), bench_field.field(homes=14, days=300.0, every_d=15.0))
        kept = [
            fit.fit(conn, read.record(conn, slot, at(day)), name, note=note, now=at(day)).model_version_id
            for day, name, note in ((200.0, "weibull", "by summer"), (300.0, "hit", "levels of the drop"))
        ]
        yield Field(house, models.get_slot(conn, slot.slot_id), *kept)


def test_a_reader_sees_how_models_stand_and_may_change_nothing(of: Field) -> None:
    """Every version with its state, no form but the sign-out; and looking at it changes no row."""
    release.release(of.house.conn, of.early, actor="staff:1", note="a start", now=clock.now())
    client = of.house.at_desk("reader")
    before = of.house.counts()
    listed, shown = client.get("/console/models").text, client.get(of.path).text
    assert before == of.house.counts()
    assert f'href="{of.path}"' in listed
    assert f"version {of.early}" in listed
    assert ["champion", "challenger"] == [word for word in ("champion", "challenger") if f">{word}</span>" in shown]
    assert "levels of the drop" in shown
    assert "a start" in shown
    assert 1 == shown.count("<form")
    for act in ACTS:
        assert 403 == of.press(client, act).status_code
    assert {of.early: "champion", of.late: ""} == of.standing()


def test_a_press_from_elsewhere_decides_nothing(of: Field) -> None:
    """Without this session's form, or from another page, no role may; and a GET of it is no page."""
    client, other = of.house.at_desk("admin"), csrf(of.house.at_desk("editor"))
    before = of.house.counts()
    for act, fields in ACTS.items():
        for token in ("", "0" * 64, other):
            answer = client.post(f"{of.path}/{act}", data=fields | {"csrf": token}, headers=SAME)
            assert 403 == answer.status_code
        data = fields | {"csrf": csrf(client)}
        assert 403 == client.post(f"{of.path}/{act}", data=data, headers={"sec-fetch-site": "cross-site"}).status_code
        assert 404 == client.get(f"{of.path}/{act}").status_code
        signed_out = of.house.client().post(f"{of.path}/{act}", data=data, headers=SAME)
        assert (303, "/console/login") == (signed_out.status_code, signed_out.headers["location"])
    assert before == of.house.counts()


def test_an_editor_releases_with_a_note_and_rolls_back_in_one_step(of: Field) -> None:
    """Both stand in the log with who and why; a release without a note is refused."""
    client = of.house.at_desk("editor")
    assert 409 == of.press(client, "release", version=str(of.early), note=" ").status_code
    for version in (of.early, of.late):
        answer = of.press(client, "release", version=str(version), note=f"why {version}")
        assert (303, of.path) == (answer.status_code, answer.headers["location"])
    assert {of.early: "", of.late: "champion"} == of.standing()
    assert "hit" == models.get_slot(of.house.conn, of.slot.slot_id).predictor
    assert 303 == of.press(client, "rollback", note="worse after all", last=of.last(client)).status_code
    assert {of.early: "champion", of.late: ""} == of.standing()
    page = client.get(of.path).text
    assert f"Rolled back to version {of.early} (weibull), by staff:1: worse after all" in page
    assert f"Released version {of.late} (hit), by staff:1: why {of.late}" in page
    noted = of.house.conn.execute("select action from audit where actor = 'staff:1' order by audit_id").fetchall()
    assert ["staff_signed_in", "model_released", "model_released", "model_rolled_back"] == [row[0] for row in noted]
    of.press(client, "rollback", last=of.last(client))
    assert 409 == of.press(client, "rollback").status_code


def test_a_released_version_that_is_not_asked_is_told_as_one(of: Field) -> None:
    """Declared with another end, the page does not leave the reader to think that it forecasts."""
    client = of.house.at_desk("editor")
    assert 303 == of.press(client, "release", version=str(of.early), note="first").status_code
    assert "released, not asked" not in client.get(of.path).text
    of.house.conn.execute("update slot set indicator_eol = 190")
    of.house.conn.commit()
    page = client.get(of.path).text
    assert "released, not asked" in page
    assert "made for another predictor, end, levels or covariates" in page


def test_a_shadow_is_begun_and_ended(of: Field) -> None:
    """One at a time, told in the list."""
    client = of.house.at_desk("editor")
    assert 303 == of.press(client, "shadow", version=str(of.late)).status_code
    assert {of.early: "", of.late: "shadow"} == of.standing()
    assert f"End the shadow of version {of.late}" in client.get(of.path).text
    assert 303 == of.press(client, "shadow/end").status_code
    assert {of.early: "", of.late: ""} == of.standing()
    assert 404 == of.press(client, "shadow/end").status_code


def test_a_roll_back_takes_back_the_release_that_was_looked_at(of: Field) -> None:
    """Pressed twice, or on a page from before somebody else decided, it takes nothing more back, and says why."""
    client = of.house.at_desk("editor")
    for version in (of.early, of.late):
        assert 303 == of.press(client, "release", version=str(version), note="why").status_code
    looked_at = of.last(client)
    assert 303 == of.press(client, "rollback", last=looked_at).status_code
    again = of.press(client, "rollback", last=looked_at)
    assert (409, True) == (again.status_code, "since this page was opened" in again.text)
    assert {of.early: "champion", of.late: ""} == of.standing()
    looked_at = of.last(client)
    release.rollback(of.house.conn, of.slot.slot_id, actor="staff:9", note="at the command line", now=clock.now())
    release.release(of.house.conn, of.late, actor="staff:9", note="at the command line", now=clock.now())
    assert 409 == of.press(client, "rollback", last=looked_at).status_code
    assert {of.early: "", of.late: "champion"} == of.standing()


def test_a_shadow_that_takes_over_is_one_no_more(of: Field) -> None:
    """It would forecast beside itself, and no page could end it; nor does the champion become its own shadow."""
    client = of.house.at_desk("editor")
    assert 303 == of.press(client, "shadow", version=str(of.late)).status_code
    assert 303 == of.press(client, "release", version=str(of.late), note="it was better").status_code
    assert shadow.live(of.house.conn, of.slot.slot_id) is None
    assert 409 == of.press(client, "shadow", version=str(of.late)).status_code
    assert 303 == of.press(client, "shadow", version=str(of.early)).status_code
    noted = of.house.conn.execute("select action from audit where actor = 'staff:1' order by audit_id").fetchall()
    acts = ["shadow_started", "model_released", "shadow_ended", "shadow_started"]
    assert acts == [row[0] for row in noted if row[0] != "staff_signed_in"]


def test_two_who_begin_a_shadow_at_once_are_both_answered(of: Field, dsn: str) -> None:
    """The second one waits, and its shadow stands instead of the first's."""
    with pool.connect(dsn, pool.Role.GATEWAY) as one, ThreadPoolExecutor(1) as other:
        shadow.start(one, of.early, actor="staff:9", now=clock.now())
        client = of.house.at_desk("editor")
        answer = other.submit(of.press, client, "shadow", version=str(of.late))
        time.sleep(0.5)
        one.commit()
        assert 303 == answer.result(30).status_code
    assert {of.early: "", of.late: "shadow"} == of.standing()


def test_a_comparison_is_asked_for_worked_out_and_read(of: Field) -> None:
    """The page asks, the worker answers with what the bench itself says, on identical forecasts, by the rule."""
    client = of.house.at_desk("editor")
    assert 303 == of.press(client, "compare", challenger="hit").status_code
    assert "is being compared since" in client.get(of.path).text
    assert 409 == of.press(client, "compare", challenger="hit").status_code
    assert of.house.worker.compare() is True
    assert of.house.worker.compare() is False
    asked = comparisons.latest(of.house.conn, of.slot)
    assert asked
    assert asked.found
    record = read.record(of.house.conn, of.slot, clock.now())
    pair = (contender.recipe("weibull"), contender.recipe("hit"))
    found = compare.compare(record, *pair, at=origins(record, comparisons.ORIGINS))
    assert {**plain(found), "promote": found.promote, "version": None} == asked.found
    page = " ".join(client.get(of.path).text.split())
    assert f"hit against weibull on the same {found.snapshots} forecasts" in page
    assert f"cheaper in {100 * found.cheaper_share:.0f} % of the draws" in page
    for line in found.criteria:
        assert line.name in page


def test_a_version_is_compared_with_what_is_in_force(of: Field) -> None:
    """A number is judged as it is since it had learned; the champion is the one released."""
    client = of.house.at_desk("editor")
    release.release(of.house.conn, of.early, actor="staff:1", note="a start", now=clock.now())
    of.press(client, "compare", challenger=str(of.late))
    of.house.worker.compare()
    asked = comparisons.latest(of.house.conn, of.slot)
    assert asked
    assert asked.found
    record = read.record(of.house.conn, of.slot, clock.now())
    assert choose(of.house.conn, record, "champion").name == asked.found["champion"]
    assert (of.late, False) == (asked.found["version"], asked.found["promote"])
    assert "nothing can be judged yet" in client.get(of.path).text  # it has learned all there is


def test_the_form_asks_nobody_to_measure_what_is_released_already(of: Field) -> None:
    """The commands beside it are those of the versions that it offers."""
    release.release(of.house.conn, of.early, actor="staff:1", note="a start", now=clock.now())
    page = of.house.at_desk("editor").get(of.path).text
    assert f"Nobody has measured version {of.late}, so nobody knows" in page
    assert 1 == page.count("wearwell model evaluate")


def test_a_version_that_nobody_measured_is_told_as_one_before_its_release(of: Field) -> None:
    """The form names it and what would measure it, and forbids nothing; a comparison makes it known."""
    client = of.house.at_desk("editor")
    page = client.get(of.path).text
    assert f"Nobody has measured versions {of.late}, {of.early}, so nobody knows" in page
    assert ", never measured</option>" in page
    assert f'<span class="mono">wearwell model evaluate {HOOD.zfill(14)}/hepa --model {of.early}</span>' in page
    of.press(client, "compare", challenger="hit")  # with weibull, by which the slot learns
    of.house.worker.compare()
    assert "never measured" not in client.get(of.path).text
    conn = of.house.conn
    kept = conn.execute("delete from measured returning contender").fetchall()
    assert [("hit",), ("weibull",)] == sorted(kept)
    before = (Path(migrations.__file__).parent / "migrations" / "0088_measured.sql").read_text()
    conn.execute(before[before.index("insert into measured") :].encode())  # from comparisons of an earlier build
    assert [("hit",)] == conn.execute("select contender from measured").fetchall()
    assert 303 == of.press(client, "release", version=str(of.late), note="levels of the drop").status_code


def test_what_cannot_be_compared_is_answered_with_the_reason(of: Field) -> None:
    """An unknown challenger is refused at once; one whose slot has no history is answered by the worker."""
    client = of.house.at_desk("editor")
    for wrong in ("nonsense", "999"):
        assert 404 == of.press(client, "compare", challenger=wrong).status_code
    carbon = of.house.slots["carbon"]
    data = {"challenger": "rated", "csrf": csrf(client)}
    assert 303 == client.post(f"/console/models/{carbon}/compare", data=data, headers=SAME).status_code
    assert of.house.worker.compare() is True
    assert "did not work: no unit with the slot" in " ".join(client.get(f"/console/models/{carbon}").text.split())


def test_another_makers_slot_is_not_there(of: Field, dsn: str) -> None:
    """Neither page nor act, neither its slot nor its version through one's own; the database itself refuses, too."""
    conn = of.house.conn
    toml = bench_field.TOML.replace("acme", "other").replace("4006381333931", "9520000000042")
    declaration.declare(conn, declaration.read(toml))
    theirs = bench_field.fill(conn, "09520000000042", bench_field.field(homes=12, days=300.0, every_d=20.0, seed=2))
    version = fit.fit(conn, read.record(conn, theirs, at(300.0)), "weibull", note="", now=at(300.0)).model_version_id
    client = of.house.at_desk("admin")
    assert f"/console/models/{theirs.slot_id}" not in client.get("/console/models").text
    assert 404 == client.get(f"/console/models/{theirs.slot_id}").status_code
    before = of.house.counts()
    for act, fields in ACTS.items():
        data = fields | {"csrf": csrf(client)} | ({"version": str(version)} if "version" in fields else {})
        assert 404 == client.post(f"/console/models/{theirs.slot_id}/{act}", data=data, headers=SAME).status_code
        if "version" in fields:
            assert 404 == of.press(client, act, version=str(version)).status_code
    assert before == of.house.counts()
    own = conn.execute("select tenant_id from slot where slot_id = %s", (of.slot.slot_id,)).fetchone()
    assert own
    with pool.connect(dsn, pool.Role.APP) as app:
        pool.speak_for(app, own[0])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(
                """insert into comparison (tenant_id, slot_id, challenger, actor, asked_at)
                   values (%s, %s, 'rated', 'staff:1', now())""",
                (theirs.tenant_id, theirs.slot_id),
            )
        app.rollback()
        pool.speak_for(app, own[0])
        assert 0 == app.execute("update slot set predictor = 'hit' where slot_id = %s", (theirs.slot_id,)).rowcount
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("update slot set life_h = 1 where slot_id = %s", (of.slot.slot_id,))
        app.rollback()
