"""`wearwell model` against a real database: data on stdout, talk on stderr, an exit code that says how it ended."""

import io
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from gateway import cli, clock
from gateway.bench import notebook
from gateway.bench.crew import Pool
from gateway.errors import ConfigurationError, Conflict
from gateway.operate import database
from gateway.registry import declaration, models, staff, units
from gateway.replenish import cycles
from predictors.declaration import LEVEL_FRACTIONS
from tests import bench_field
from tests.bench_field import at

SLOT = "4006381333931/hepa"
WHO = ("--by", "chief@example.com")


class Ended(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Shell:
    """Runs `wearwell model` commands against one database."""

    def __init__(self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self.patch = patch
        self.captured = captured

    def __call__(self, *words: str) -> Ended:
        self.captured.readouterr()
        with self.patch.context() as patch:
            patch.setattr(sys, "argv", ["wearwell", "model", *words])
            patch.setattr(sys, "stdin", io.StringIO())
            with pytest.raises(SystemExit) as ended:
                cli.main()
        said = self.captured.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    def good(self, *words: str) -> str:
        """Run what must succeed and return its data."""
        ended = self(*words)
        assert 0 == ended.returncode, ended.stderr
        return ended.stdout

    def data(self, *words: str) -> Any:
        """Run what must succeed and return its JSON, which holds no NaN."""

        def no(name: str) -> None:
            raise AssertionError(name)

        return json.loads(self.good(*words, "--json"), parse_constant=no)


@pytest.fixture
def shell(
    dsn: str, conn: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shell:  # fmt: skip
    """A deployment with a year of history, an editor and a clock at its end."""
    slot = bench_field.store(conn, bench_field.field(homes=24, days=400.0))
    wall = at(400.0)
    staff.create(conn, tenant_id=slot.tenant_id, email=WHO[1], password="long enough 1", role="editor", wall=wall)
    conn.commit()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEARWELL_DATABASE_DSN", dsn)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(clock, "now", lambda: at(400.0))
    return Shell(monkeypatch, capsys)


def test_from_history_to_a_release_and_back(shell: Shell) -> None:
    """The way of docs/bench.md: fit, measure, compare, shadow, release, look, roll back."""
    fitted = shell.data("fit", SLOT, "--predictor", "hit", "--note", "levels")
    number = str(fitted[0]["version"])
    assert ("hit", "", "levels") == (fitted[0]["predictor"], fitted[0]["stands"], fitted[0]["note"])
    measured = shell.data("evaluate", SLOT, "--model", "hit", "--origins", "3")
    assert "all" == measured["scores"][0]["group"]
    assert [] == measured["leaks"]
    printed = shell.good("evaluate", SLOT, "--model", "hit", "--origins", "3").split("\n\n")
    heads = [table.splitlines()[0].split("\t") for table in printed]
    assert {"group", "mae_d", "cov90", "crps_d", "alpha_lambda"} <= set(heads[0])
    assert {"group", "early_d", "late_rate", "stock_out_rate", "cost", "timer_cost"} <= set(heads[1])
    assert {"prognosis", "horizon_d", "steady_horizon_d", "relative_accuracy"} <= set(heads[2])
    assert ["hit", "hours timer"] == [line.split("\t")[0] for line in printed[2].splitlines()[1:]]
    shell.good("shadow", SLOT, number, *WHO)
    assert "shadow" == shell.data("list", SLOT)[0]["stands"]
    ended = shell("release", number, "--note", "levels do better", *WHO)
    assert (0, "") == (ended.returncode, ended.stdout)
    assert "rollback" in ended.stderr
    assert 'predictor = "hit"' in ended.stderr
    assert "champion" == shell.data("list", SLOT)[0]["stands"]
    shell.good("rollback", SLOT, "--note", "as a drill", *WHO)
    log = shell.data("list", SLOT, "--log")
    assert [("rollback", None), ("release", int(number))] == [(row["what"], row["in_force"]) for row in log]
    assert {"staff:1"} == {row["by"] for row in log}


def test_a_version_that_nobody_measured_is_released_with_a_caution(shell: Shell) -> None:
    """It goes through, and says by which command one would know: as it learned, for nothing has come since."""
    number = str(shell.data("fit", SLOT, "--predictor", "hit")[0]["version"])
    early = str(shell.data("fit", SLOT, "--predictor", "weibull", "--until", "2026-12-01")[0]["version"])
    ended = shell("release", number, "--note", "a start", *WHO)
    assert (0, "") == (ended.returncode, ended.stdout)
    assert f"caution: nobody has measured version {number}" in ended.stderr
    measure = ended.stderr.split("measure it with: wearwell model ")[1].splitlines()[0]
    assert "evaluate hepa --model hit" == measure
    shell.good("rollback", SLOT, *WHO)
    shell.good(*measure.split(), "--origins", "2")
    assert "caution" not in shell("release", number, "--note", "known now", *WHO).stderr
    assert f"evaluate hepa --model {early}\n" in shell("release", early, "--note", "why", *WHO).stderr


def test_what_judged_nothing_measured_nothing(shell: Shell) -> None:
    """A version of today compared with what is in force is as unknown as before; one compared by name is known."""
    number = str(shell.data("fit", SLOT, "--predictor", "hit")[0]["version"])
    shell.good("compare", SLOT, "--challenger", number, "--origins", "2")
    assert "caution: nobody has measured" in shell("release", number, "--note", "a start", *WHO).stderr
    shell.good("rollback", SLOT, *WHO)
    shell.good("compare", SLOT, "--challenger", "hit", "--origins", "2")
    assert "caution" not in shell("release", number, "--note", "known now", *WHO).stderr


def test_compare_promotes_by_the_rule_only(shell: Shell) -> None:
    """The better way of learning is fitted and released, with the verdict as its note; the worse one is not."""
    worse = shell("compare", SLOT, "--challenger", "rated", "--origins", "3", "--promote", *WHO)
    assert 1 == worse.returncode
    assert "nothing was released" in worse.stderr
    assert [] == shell.data("list", SLOT)
    found = shell.data(
        "compare", SLOT, "--champion", "rated", "--challenger", "weibull", "--origins", "3", "--promote", *WHO
    )
    assert all(line["met"] for line in found["criteria"])
    listed = shell.data("list", SLOT)[0]
    assert (found["released"], "champion", "weibull") == (listed["version"], listed["stands"], listed["predictor"])
    assert listed["note"].startswith("promoted by the rule: ")


def test_workers_fit_and_compare_the_same(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitted and forecast in another process, a version is the same version and a comparison the same numbers."""
    at_work: list[str] = []
    real = Pool.do

    def watched(pool: Pool, work: Any, chunks: Any) -> Any:
        at_work.append(work.__name__)
        return real(pool, work, chunks)

    monkeypatch.setattr(Pool, "do", watched)
    here = shell.data("fit", SLOT, "--predictor", "hit")
    assert [] == at_work
    away = shell.data("fit", SLOT, "--predictor", "hit", "--workers", "2")
    assert ["learned_text"] == at_work
    assert [(row["version"], row["sha256"]) for row in here] == [(row["version"], row["sha256"]) for row in away]
    asked = ("compare", SLOT, "--champion", "rated", "--challenger", "weibull", "--origins", "2")
    assert shell.data(*asked) == shell.data(*asked, "--workers", "2")
    assert len(at_work) > 1


def test_several_slots_are_fitted_at_once(shell: Shell) -> None:
    """One that is named twice is fitted once; with an unknown one among them nothing is fitted."""
    assert 1 == len(shell.data("fit", SLOT, SLOT, "hepa"))
    assert 1 == shell("fit", SLOT, "nowhere", "--predictor", "hit").returncode
    assert ["weibull"] == [row["predictor"] for row in shell.data("list", SLOT)]


def test_a_slot_without_an_end_says_that_nothing_was_learned_or_judged(shell: Shell, conn: psycopg.Connection) -> None:
    """No empty tables, no flat histogram that looks calibrated; commands are named so that they can be copied."""
    sibling = bench_field.TOML.replace("4006381333931", "4006381333948").replace("Purifier", "Small purifier")
    declaration.declare(conn, declaration.read(bench_field.TOML + sibling[sibling.index("[[models]]") :]))
    slot = models.slots(conn, models.by_gtin(conn, "04006381333948").model_id)[0]
    units.enrol(conn, slot.tenant_id, "04006381333948", "Y1", now=at(390.0))
    cycles.ensure_open(conn, [unit for (unit,) in conn.execute("select unit_id from unit where serial = 'Y1'")])
    conn.commit()
    young = "04006381333948/hepa"
    fitted = shell("fit", young)
    assert "knows what is declared and no more" in fitted.stderr
    assert f"wearwell model evaluate {young} --model weibull" in fitted.stderr
    judged = shell("evaluate", young)
    assert (0, "") == (judged.returncode, judged.stdout.strip())
    assert "can be judged yet" in judged.stderr
    assert "by name instead" not in judged.stderr  # it was
    assert [None] * 10 == shell.data("evaluate", young)["pit"]


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        (("eol = 200", "eol = 190"), False),
        (("life_d = 125", "life_d = 120"), True),
        (("eol = 200", f"eol = 200\nlevels = {[share * 200.0 for share in LEVEL_FRACTIONS]}"), True),
    ],
)
def test_declaring_says_which_versions_are_not_asked_any_more(
    shell: Shell, tmp_path: Path, change: tuple[str, str], asked: bool
) -> None:
    """Another end is another question; other rated days are not, nor are the levels that it had undeclared."""
    (tmp_path / "maker.toml").write_text(bench_field.TOML.replace(*change))
    with shell.patch.context() as patch:
        patch.setattr(sys, "argv", ["wearwell", "declare", "maker.toml"])
        with pytest.raises(SystemExit):
            cli.main()
    said = shell.captured.readouterr().err
    assert asked == ("not asked any more" not in said)
    assert asked == (f"wearwell model fit 0{SLOT}" not in said)


def test_a_young_version_says_that_it_cannot_be_judged_yet(shell: Shell) -> None:
    """Fitted today, it knows all of the past: nothing of that may be held for it."""
    number = shell.data("fit", SLOT)[0]["version"]
    ended = shell("compare", SLOT, "--challenger", str(number))
    assert 0 == ended.returncode
    assert "nan" not in ended.stdout
    assert "nothing can be judged yet; the rule wants 72% to 92%" in ended.stdout
    assert "does not let" in ended.stderr
    assert "since it was made" in ended.stderr
    assert "wearwell model evaluate hepa --model weibull" in shell("fit", SLOT).stderr
    since = ("fit", SLOT, "--until", "2026-09-01", "--predictor", "hit")
    back = shell.data(*since)[0]["version"]
    assert f"wearwell model evaluate hepa --model {back}" in shell(*since).stderr
    judged = shell.data("evaluate", SLOT, "--model", str(back))
    assert judged["tally"]["judged"] > 50


def test_a_version_travels_as_a_file_and_a_damaged_one_is_refused(shell: Shell, tmp_path: Path) -> None:
    """What export wrote import takes; a changed digit is refused in one sentence and nothing changes."""
    number = shell.data("fit", SLOT)[0]["version"]
    shell.good("export", str(number), "--out", "model.json")
    assert number == shell.data("import", SLOT, "model.json")[0]["version"]
    text = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(text.replace('"shape": ', '"shape": 1', 1))
    ended = shell("import", SLOT, "model.json")
    assert (1, "") == (ended.returncode, ended.stdout)
    assert "sha256" in ended.stderr
    assert "what is in force stays" in ended.stderr
    assert 1 == len(shell.data("list", SLOT))


def test_a_notebook_finds_the_database_that_the_commands_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Beside `wearwell up` nobody has to know a DSN; where there is no database, that is said and none is made."""
    monkeypatch.setenv("WEARWELL_DATA_DIR", str(tmp_path / "here"))
    monkeypatch.delenv("WEARWELL_DATABASE_DSN", raising=False)
    with pytest.raises(ConfigurationError, match=r"there is no database in .*here; name one"):
        notebook.connect()
    assert not (tmp_path / "here").exists()
    database.start_embedded(tmp_path / "here")
    with notebook.connect() as conn:
        assert [("wearwell", "wearwell_gateway")] == conn.execute("select current_database(), current_user").fetchall()
        assert (False,) == conn.execute("select rolsuper from pg_roles where rolname = session_user").fetchone()
    database.leave_embedded(tmp_path / "here")


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"\xff\xfe", "not text in UTF-8")])
def test_a_file_that_cannot_be_read_says_why(shell: Shell, tmp_path: Path, content: bytes | None, said: str) -> None:
    """No number of the system's, no codec: what is wrong with it and what to look at."""
    if content is not None:
        (tmp_path / "version.json").write_bytes(content)
    ended = shell("import", SLOT, "version.json")
    assert 1 == ended.returncode
    assert said in ended.stderr
    assert "Errno" not in ended.stderr
    assert "codec" not in ended.stderr


def test_what_if_answers_in_prompts_days_and_money(shell: Shell) -> None:
    """A dearer day late is replayed beside what stands, and beside the hours timer."""
    found = shell.data("whatif", SLOT, "--cost-late", "19", "--predictor", "hit")
    assert found["would"]["early_d"] >= found["stands"]["early_d"]
    assert {"cycles", "prompts", "late_rate", "stock_out_rate", "cost", "money_minor"} <= set(found["timer"])
    assert 2 == shell("whatif", SLOT).returncode


def test_a_notebook_hears_what_the_command_says(shell: Shell, conn: psycopg.Connection) -> None:
    """Rolled back over a version that is not asked any more, both tell it; neither meets a model with itself.

    What is logged of such a version stands on stderr, and not in the JSON.
    """
    number = shell.data("fit", SLOT, "--predictor", "weibull")[0]["version"]
    shell.good("release", str(number), "--note", "first", *WHO)
    conn.execute("update slot set indicator_eol = 190")
    conn.commit()
    other = str(shell.data("fit", SLOT, "--predictor", "weibull")[0]["version"])
    shell.good("release", other, "--note", "the other end", *WHO)
    record = notebook.load(conn, SLOT)
    back = notebook.roll_back(conn, record, by=WHO[1])
    conn.rollback()
    assert (None, [number]) == (back.version, back.not_asked)
    said = shell("rollback", SLOT, *WHO).stderr.splitlines()
    assert back.words == [line for line in said if "[warning" not in line]
    for wrong in (notebook.report, lambda conn, record, *pair: notebook.compare(conn, record, pair)):
        with pytest.raises(Conflict, match="hit would be compared with itself"):
            wrong(conn, record, "hit", "hit")


def test_a_forecast_is_explained_in_words_and_numbers(shell: Shell) -> None:
    """Its owner reads sentences, an engineer numbers with their meaning, and both see which version it was."""
    found = shell.data("explain", "acme.H1")
    assert {"runtime", "load"} == set(found["shares"])
    assert 1.0 == pytest.approx(sum(found["shares"].values()), abs=1e-6)
    assert found["numbers"]["indicator_per_d"] > 0
    assert set(found["meanings"]) == set(found["numbers"])
    assert any("of the way to the end" in said for said in found["words"])
    text = shell.good("explain", "4006381333931/H1")
    assert "left as of" in text.splitlines()[0]
    assert "0 finished parts" in text


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("fit", "hepe"), 1, "name one as GTIN/code: 04006381333931/hepa"),
        (("fit", SLOT, "--predictor", "hitt"), 1, "did you mean 'hit'?"),
        (("fit", SLOT, "--predictor", "oracle"), 1, "no predictor is called 'oracle'. There are calendar, fused"),
        (("import", SLOT, str(Path(__file__))), 1, "it is not JSON; what is in force stays. Name one"),
        (("evaluate", SLOT, "--model", "99"), 1, "there is no model version 99"),
        (("evaluate", SLOT, "--model", "shadow"), 1, "start one with: wearwell model shadow"),
        (("release", "1", "--note", "x", "--by", "who@example.com"), 1, "there is no model version 1"),
        (("rollback", SLOT, "--by", "who@example.com"), 1, "may not release models"),
        (("rollback", SLOT, *WHO), 1, "nothing is released"),
        (("shadow", SLOT, "1"), 2, "--by"),
        (("compare", SLOT, "--challenger", "hit", "--promote"), 2, "--by"),
        (("compare", SLOT, "--challenger", "weibull"), 1, "weibull would be compared with itself; name another"),
        (("compare", SLOT, "--challenger", "champion", "--champion", "champion"), 1, "with itself"),
        (("report", SLOT, "--model", "hit", "--challenger", "hit"), 1, "hit would be compared with itself"),
        (("report", SLOT, "--challenger", "weibull"), 1, "another champion: --model champion is what is in force"),
        (("report", SLOT, "--model", "champion", "--challenger", "champion"), 1, "with itself"),
        (("explain", "nobody"), 1, "there is no device"),
        (("whatif", SLOT, "--threshold", "-4"), 1, "beyond the baseline"),
    ],
)
def test_what_cannot_be_done_says_why_and_what_next(shell: Shell, words: tuple[str, ...], code: int, said: str) -> None:
    """One sentence on stderr, nothing on stdout, no traceback."""
    ended = shell(*words)
    assert (code, "") == (ended.returncode, ended.stdout)
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_day_before_all_history_is_told_with_the_first_that_has_some(shell: Shell, conn: psycopg.Connection) -> None:
    """Nobody is sent to enrol units that are there."""
    row = conn.execute("select to_char(min(lower(period)) at time zone 'UTC', 'YYYY-MM-DD') from cycle").fetchone()
    assert row
    ended = shell("evaluate", SLOT, "--until", "2024-01-01")
    assert (1, "") == (ended.returncode, ended.stdout)
    assert "had begun by 2024-01-01" in ended.stderr
    assert f"the first began at {row[0]}" in ended.stderr
    assert "enrol" not in ended.stderr


def test_a_slot_without_history_says_so(shell: Shell, conn: psycopg.Connection) -> None:
    """Nothing to learn from is no failure of arithmetic."""
    conn.execute("delete from forecast")
    conn.execute("delete from cycle")
    conn.commit()
    ended = shell("evaluate", SLOT)
    assert 1 == ended.returncode
    assert "has a cycle yet" in ended.stderr
