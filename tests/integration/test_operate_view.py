"""The operator's view: `wearwell status`, `gaps` and `quarantine`, over a fleet in which each thing is wrong once."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from gateway.ingest import gaps, pipeline, quarantine, rejection
from gateway.ingest.directory import Directory
from gateway.ingest.rejection import Fate, Rejected
from gateway.operate import refused, troubled
from gateway.operate.fleet_metrics import FleetFigures
from gateway.operate.words import lasting
from tests.faults import fleet
from tests.faults.fleet import batch, message
from tests.integration.test_operate_commands import Shell

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
UNITS = ("well", "silent", "behind", "clock", "gap", "refused", "twice", "new")


@pytest.fixture
def now(conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """A fleet of eight, each with what its name says, as it stands at that moment."""
    at = datetime.now(UTC).replace(microsecond=0)
    monkeypatch.setattr(troubled, "MANY_TWICE", 2)
    fleet.enrol(conn, UNITS)
    conn.execute("update rescore set since = %s", (at,))
    both = [{"runtime": 1.0}, {"runtime": 2.0}]
    for day in (
        [batch(1, serial="silent", at=at - 3 * DAY, received=at - 3 * DAY)],
        [
            batch(1, serial="well", at=at, received=at),
            batch(1, serial="behind", at=at - 5 * DAY, received=at),
            batch(1, serial="clock", at=at + 40 * DAY, received=at),
            batch(1, serial="gap", at=at, received=at),
            batch(6, serial="gap", at=at, received=at),
            batch(1, [{"runtime": 1.0, "ozone": 4.0}], serial="refused", at=at, received=at),
            batch(1, [{"runtime": 1.0}], serial="stranger", at=at, received=at),
            batch(1, both, serial="twice", at=at, received=at),
        ],
        [batch(1, both, serial="twice", at=at, received=at)],
    ):
        pipeline.take(conn, Directory(), day)
        conn.commit()
    return at


@pytest.fixture
def shell(dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A command line against this database."""
    monkeypatch.setenv("WEARWELL_DATABASE_DSN", dsn)
    monkeypatch.setenv("COLUMNS", "200")
    return Shell(monkeypatch, capsys)


def wrong(conn: psycopg.Connection, now: datetime) -> dict[str, list[str]]:
    found = troubled.worst(conn, now)
    return {unit.device: [each.what for each in troubled.troubles(unit, now)] for unit in found}


def test_each_unit_with_trouble_is_named_with_it_and_no_other(conn: psycopg.Connection, now: datetime) -> None:
    """What is missing comes first; a unit that is well, or was never heard of, is not in the list."""
    assert [
        ("acme.gap", ["gaps"]),
        ("acme.refused", ["quarantine"]),
        ("acme.behind", ["lag"]),
        ("acme.clock", ["clock"]),
        ("acme.silent", ["silence"]),
        ("acme.twice", ["duplicates"]),
    ] == list(wrong(conn, now).items())
    assert 6 == troubled.wanting(conn, now)
    assert 2 == len(troubled.worst(conn, now, limit=2))


def test_a_unit_with_several_troubles_comes_first(conn: psycopg.Connection, now: datetime) -> None:
    """Two things wrong with one unit are worse than many missing readings of another."""
    pipeline.take(conn, Directory(), [batch(9, serial="clock", at=now + 40 * DAY, received=now)])
    found = list(wrong(conn, now).items())
    assert [("acme.clock", ["gaps", "clock"]), ("acme.gap", ["gaps"])] == found[:2]


def test_a_silent_unit_whose_clock_nobody_knows_does_not_come_first(conn: psycopg.Connection, now: datetime) -> None:
    """Units that were heard before clocks were kept have none: they are silent, and no more."""
    conn.execute("update unit set clock = null where device = 'acme.silent'")
    assert "acme.gap" == next(iter(wrong(conn, now)))


@pytest.mark.parametrize(
    ("by", "first"),
    [("gaps", "gap"), ("lag", "behind"), ("quarantine", "refused"), ("duplicates", "twice"), ("silence", "silent")],
)
def test_units_are_ranked_by_what_is_asked_for(
    conn: psycopg.Connection, now: datetime, by: troubled.By, first: str
) -> None:
    """Each ranking begins with the unit that is worst in it."""
    assert f"acme.{first}" == troubled.worst(conn, now, by=by)[0].device


def test_what_to_do_about_a_gap_depends_on_whether_the_unit_is_here(conn: psycopg.Connection, now: datetime) -> None:
    """Just found, asked in vain, away: three different remedies."""

    def remedy(at: datetime) -> str:
        (unit,) = [one for one in troubled.worst(conn, at) if one.device == "acme.gap"]
        return next(troubled.troubles(unit, at)).remedy

    assert "being asked" in remedy(now)
    conn.execute("update gap set asks = 5, asked_at = %s", (now,))
    assert "does not answer" in remedy(now)
    assert "away" in remedy(now + 2 * DAY)


def test_status_reads_as_sentences_and_as_figures(shell: Shell, now: datetime) -> None:
    """A person reads how many are late, silent or wrong; a machine gets the same numbers."""
    said = dict(line.split("  ", 1) for line in shell.good("status").split("\n\n")[0].splitlines())
    lines = {name: " ".join(rest.split()) for name, rest in said.items()}
    assert "6 within an hour, 1 within a week, 1 never" == lines["last heard"]
    assert "5 a minute or less, 1 more than a day" == lines["lag"]
    assert "5 synced, 1 wrong" == lines["clocks"]
    assert lines["gaps"].startswith("1 open in 1 unit, 4 readings missing, 1 not asked for yet")
    assert "0 readings from the broker, 2 from units in the last day, of 1 unit" == lines["came twice"]
    assert lines["quarantine"].startswith("1 unknown_channel, 1 unknown_unit; oldest")
    found = json.loads(shell.good("status", "--json"))
    assert {"hour": 6, "day": 0, "week": 1, "longer": 0, "never": 1} == found["heard_within"]
    assert {"minute": 5, "hour": 0, "day": 0, "longer": 1, "unknown": 0} == found["lag_within"]
    assert {"synced": 5, "relative": 0, "none": 0, "wrong": 1, "unknown": 0} == found["clocks"]
    assert (1, 4) == (found["gaps"]["open"], found["gaps"]["missing"])
    assert {"redelivered": 0, "resent": 2, "units": 1} == found["twice_last_day"]
    assert ["gaps"] == [each["what"] for each in found["worst"][0]["troubles"]]


def test_the_worst_units_stand_below_with_what_to_do(shell: Shell, now: datetime) -> None:
    """One line for each trouble; how many there are in all is said even where few are shown."""
    ended = shell("status", "--worst", "1")
    assert 0 == ended.returncode
    (head, row) = ended.stdout.split("\n\n")[1].splitlines()
    assert ["unit", "what is wrong", "what to do"] == head.split("\t")
    assert "acme.gap\t4 readings missing in 1 gap for" in row
    assert "6 units to look at" in ended.stderr


@pytest.mark.parametrize(
    ("device", "lines"),
    [
        ("behind", ("5 d before its last word", "1 more than an hour old on arrival; age 5 d")),
        ("clock", ("wrong; its newest reading came 40 d before the time that it gives", "its clock is 40 d fast")),
        ("twice", ("0 readings from the broker, 2 from units in the last day", "it may not hear its receipts")),
        ("refused", ("1 unknown_channel", "wearwell quarantine list --device acme.refused")),
        ("new", ("last heard      never", "clock           unknown")),
    ],
)
def test_one_unit_is_told_of_in_the_same_words(
    shell: Shell, now: datetime, device: str, lines: tuple[str, ...]
) -> None:
    """`wearwell status UNIT` says of it what the fleet's list would, and more."""
    said = shell.good("status", f"acme.{device}")
    assert [] == [line for line in lines if line not in said]


def test_a_unit_that_is_well_has_nothing_wrong(shell: Shell, now: datetime) -> None:
    """Said on stderr, as all talk is; the figures have an empty list."""
    assert "nothing is wrong with it" in shell("status", "acme.well").stderr
    assert [] == json.loads(shell.good("status", "acme.well", "--json"))["troubles"]


def test_gaps_are_listed_by_age_and_summed_by_unit(shell: Shell, conn: psycopg.Connection, now: datetime) -> None:
    """Found, asked, filled and lost are told apart; what a unit gave up is counted with it."""
    pipeline.take(conn, Directory(), [batch(4, serial="behind", at=now, received=now)])
    pipeline.take(conn, Directory(), [batch(2, serial="behind", at=now, received=now)])
    command = gaps.ask(conn, now + HOUR, limit=1)[0]
    conn.commit()
    rows = json.loads(shell.good("gaps", "--json"))
    assert [("acme.gap", "asked", 4), ("acme.behind", "found", 1)] == [
        (row["device"], row["state"], row["missing"]) for row in rows
    ]
    told = {"id": json.loads(command.payload)["id"], "status": "failed", "detail": "lost"}
    pipeline.take(conn, Directory(), [message("up/reply", told, serial="gap", received=now)])
    pipeline.take(conn, Directory(), [batch(3, serial="behind", at=now, received=now)])
    gaps.close(conn, now + HOUR)
    conn.commit()
    assert "no gaps" in shell("gaps").stderr
    sums = {row["device"]: row for row in json.loads(shell.good("gaps", "--by-unit", "--all", "--json"))}
    assert (1, 0, 4, 0) == tuple(sums["acme.gap"][name] for name in ("lost", "filled", "numbers_lost", "missing"))
    assert (0, 1, 0, 0) == tuple(sums["acme.behind"][name] for name in ("lost", "filled", "numbers_lost", "missing"))
    assert ["lost", "filled"] == sorted(
        (row["state"] for row in json.loads(shell.good("gaps", "--all", "--json"))), reverse=True
    )


def test_gaps_of_one_unit_are_summed_up_without_the_others(shell: Shell, now: datetime) -> None:
    """A unit that misses nothing is told so, whatever others miss."""
    assert "no gaps\n" == shell("gaps", "--device", "acme.well").stderr
    assert "1 open in 1 unit" in shell("gaps", "--device", "acme.gap").stderr


def test_quarantine_says_why_how_many_and_what_to_do(shell: Shell, now: datetime) -> None:
    """By reason, with an example and a remedy; by unit, and whether it is one of ours."""
    rows = {row["reason"]: row for row in json.loads(shell.good("quarantine", "--json"))}
    assert (1, 1) == (rows["unknown_channel"]["messages"], rows["unknown_channel"]["units"])
    assert "ozone" in rows["unknown_channel"]["example"]
    assert (refused.DECLARE, refused.ENROL) == (rows["unknown_channel"]["do"], rows["unknown_unit"]["do"])
    units = json.loads(shell.good("quarantine", "--by-unit", "--json"))
    assert [("acme.refused", True, 1), ("acme.stranger", False, 1)] == [
        (row["device"], row["enrolled"], row["messages"]) for row in units
    ]


def test_one_unit_s_messages_are_released_and_no_other_s(shell: Shell, conn: psycopg.Connection, now: datetime) -> None:
    """After the channel was declared, what lay there for that unit goes through; nothing else is touched."""
    conn.execute(
        "insert into channel (tenant_id, name, unit, kind) select tenant_id, 'ozone', '1', 'gauge' from tenant"
    )
    conn.commit()
    assert 2 == shell("quarantine", "release").returncode
    assert "1 message: 1 reading stored" in shell("quarantine", "release", "--device", "acme.refused").stderr
    assert {"unknown_unit": 1} == quarantine.counted(conn)


def test_all_of_a_reason_are_released_however_many_are_refused_again(
    shell: Shell, conn: psycopg.Connection, now: datetime
) -> None:
    """Those that stay do not stand in the way of those behind them, and it says how far it is."""
    pipeline.take(conn, Directory(), [batch(q, serial="later", at=now, received=now) for q in range(1, 151)])
    for serial in ("nobody", "later"):
        pipeline.take(conn, Directory(), [batch(q, serial=serial, at=now, received=now) for q in range(151, 271)])
    conn.execute("update quarantine set received_at = %s", (now - HOUR,))
    conn.commit()
    said = shell("quarantine", "release", "--reason", "unknown_unit").stderr
    assert "100 messages so far" in said
    assert "391 messages: 0 readings stored, 391 messages refused again" in said
    assert "150 messages" in shell("quarantine", "release", "--reason", "unknown_unit", "--limit", "150").stderr


def test_what_was_kept_in_part_is_not_released(shell: Shell, conn: psycopg.Connection, now: datetime) -> None:
    """Its beginning would be refused as another message; it says why, and an alert does not wait for it."""
    large = batch(1, serial="well", at=now - 8 * 24 * HOUR)
    large = large._replace(payload=large.payload[:-1] + b',"more":"' + b"x" * 70_000 + b'"}')
    pipeline.take(conn, Directory(), [large, large._replace(topic="nobody/reads/this", payload=b"1")])
    conn.commit()
    [kept] = quarantine.listed(conn, reason="too_large")
    ended = shell("quarantine", "release", str(kept.quarantine_id))
    assert (1, True) == (ended.returncode, "only the beginning is kept" in ended.stderr)
    ended = shell("quarantine", "release", "--reason", "too_large")
    assert (0, True) == (ended.returncode, "no message waits that could be released so" in ended.stderr)
    assert 1 == quarantine.counted(conn)["too_large"]
    assert {"too_large", "unknown_topic"} <= set(refused.STUCK)


def kinds(of: type[Rejected]) -> list[type[Rejected]]:
    return [kind for each in of.__subclasses__() for kind in (each, *kinds(each))]


def test_every_reason_has_a_remedy() -> None:
    """What can lie in quarantine has a sentence about what to do next, and no reason is made up."""
    kept = {kind.code for kind in kinds(rejection.Rejected) if kind.fate is Fate.QUARANTINE}
    assert kept == set(refused.REMEDIES)


def test_prometheus_gets_the_same_figures(conn: psycopg.Connection, now: datetime) -> None:
    """What the list says of units, metrics say of the fleet; bands without anybody in them are there too."""

    @contextmanager
    def begin() -> Iterator[psycopg.Connection]:
        yield conn

    conn.execute("update gap set found_at = %s", (now - 3 * HOUR,))
    families = FleetFigures(begin, lambda: now).collect()
    found = {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}
    expected = {
        ("units_heard", "hour"): 6,
        ("units_heard", "day"): 0,
        ("units_heard", "never"): 1,
        ("units_lag", "longer"): 1,
        ("units_lag", "hour"): 0,
        ("units_clock", "wrong"): 1,
        ("units_clock", "synced"): 5,
        ("gap_readings",): 4,
        ("gap_oldest_seconds",): 10_800,
        ("quarantined", "unknown_channel"): 1,
        ("quarantined", "unknown_unit"): 1,
        ("quarantine_oldest_seconds",): 0,
        ("rescore_waiting",): 8,
        ("rescore_oldest_seconds",): 0,
        ("jobs", "failed"): 0,
    }
    assert expected == {key: found[f"wearwell_{key[0]}", *key[1:]] for key in expected}
    assert 1e6 < found["wearwell_database_bytes",]


def plain(text: str) -> list[str]:
    """Return the lines of an output: one space for several or for a dash below, and one word for every few seconds."""
    lines = (re.sub(r"\b\d+ s\b", "N s", " ".join(line.replace("_", " ").split())) for line in text.splitlines())
    return [line for line in lines if line]


def test_the_page_shows_what_the_commands_print(shell: Shell, now: datetime) -> None:
    """docs/operating.md has the outputs over this fleet, line by line; of one unit, all but its slots and readings."""
    shown = re.findall(r"^\$ wearwell (.*)\n((?:(?!\$ |```).*\n)*)", PAGE.read_text(), re.MULTILINE)
    assert ["status", "status acme.behind", "gaps", "gaps --by-unit", "quarantine", "quarantine --by-unit"] == [
        words for words, _ in shown
    ]
    for words, output in shown:
        printed = plain(shell.good(*words.split()))
        assert plain(output) == printed[: len(plain(output))], words
        assert len(plain(output)) == len(printed) or words == "status acme.behind"


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=119), "119 s"),
        (timedelta(seconds=120), "2 min"),
        (timedelta(hours=47), "47 h"),
        (timedelta(days=2_000), "2,000 d"),
    ],
)
def test_a_span_is_said_in_few_letters(span: timedelta, said: str) -> None:
    """The unit is the largest of which there are two."""
    assert said == lasting(span)
