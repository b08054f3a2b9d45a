"""How a fleet or a unit stands, for a person: a line for each thing, then what wants a look and what to do about it."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from gateway.cli import talk
from gateway.operate.words import count, lasting

Figures = Mapping[str, Any]

HEARD = {
    "hour": "within an hour",
    "day": "within a day",
    "week": "within a week",
    "longer": "longer ago",
    "never": "never",
}
LAG = {
    "minute": "a minute or less",
    "hour": "an hour or less",
    "day": "a day or less",
    "longer": "more than a day",
    "unknown": "without a reading",
}
CONNECTIONS = {
    "never": "never said that it is online",
    "online": "online",
    "sleeping": "asleep",
    "lost": "lost: the broker hears it no more",
}


def fleet(found: Figures) -> None:
    """Print how the fleet stands; the worst units follow, each with what is wrong and what to do."""
    _lines(_of_fleet(found, found["at"]))
    rows = [
        {"unit": unit["device"], "what is wrong": each["says"], "what to do": each["remedy"]}
        for unit in found["worst"]
        for each in unit["troubles"]
    ]
    if rows:
        talk.line("")
        talk.table(rows, json=False, nothing="")
    if found["wanting"]:
        talk.say(f"{count(found['wanting'], 'unit')} to look at; all about one: wearwell status UNIT")


def unit(found: Figures) -> None:
    """Print how one unit stands."""
    _lines(_of_unit(found, found["at"]))
    rows = [{"what is wrong": each["says"], "what to do": each["remedy"]} for each in found["troubles"]]
    for table, nothing in (
        (rows, "nothing is wrong with it"),
        (found["slots"], "its model has no slots"),
        (found["readings"], "no reading yet"),
    ):
        talk.line("")
        talk.table(table, json=False, nothing=nothing)


def gaps(found: Figures, now: datetime) -> str:
    """Say which gaps are open."""
    if not found["open"]:
        return "none open"
    return (
        f"{found['open']:,} open in {count(found['units'], 'unit')}, {count(found['missing'], 'reading')} missing,"
        f" {found['not_asked']:,} not asked for yet, oldest {lasting(now - found['oldest'])}"
    )


def aged(rows: Iterable[Figures], now: datetime, *, without: Collection[str] = ()) -> list[Figures]:
    """Return rows as a person reads them: times as how long ago they were, and `without` some columns."""
    return [
        {
            f"{name.removesuffix('_at')} ago" if name.endswith("_at") else name: _plain(value, now)
            for name, value in row.items()
            if name not in without
        }
        for row in rows
    ]


def _plain(value: object, now: datetime) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return lasting(now - value) if isinstance(value, datetime) else value


def _of_fleet(found: Figures, now: datetime) -> Iterator[tuple[str, str]]:
    units, readings, twice = found["units"], found["readings"], found["twice_last_day"]
    forecasts, outbox = found["forecasts"], found["outbox"]
    yield "units", f"{units['units']:,}, {units['with_radio']:,} with a radio, {units['online']:,} online"
    yield "last heard", _bands(found["heard_within"], HEARD)
    yield "lag", _bands(found["lag_within"], LAG)
    yield "clocks", _counts(found["clocks"])
    newest = _ago(readings["latest"], now)
    yield "readings", f"{readings['total']:,} in all, {readings['last_day']:,} in the last day, newest {newest}"
    yield "gaps", gaps(found["gaps"], now)
    yield "came twice", f"{_twice(twice)}, of {count(twice['units'], 'unit')}"
    oldest = found["quarantine_oldest"]
    yield "quarantine", _counts(found["quarantine"]) + (f"; oldest {_ago(oldest, now)}" if oldest else "")
    yield (
        "forecasts",
        f"{forecasts['slots']:,} slots, {forecasts['soon']:,} soon, {forecasts['due']:,} due,"
        f" {forecasts['overdue']:,} overdue, {forecasts['stale']:,} stale; oldest {_ago(forecasts['oldest'], now)};"
        f" {forecasts['waiting']:,} units wait" + _since(forecasts["waiting_since"], now),
    )
    yield "prompts", _counts(found["prompts"])
    yield "orders", _counts(found["orders"])
    yield (
        "outbox",
        f"{outbox['waiting']:,} wait, {outbox['sent']:,} sent, {outbox['given_up']:,} given up"
        + (f"; oldest due {_ago(outbox['oldest_due'], now)}" if outbox["oldest_due"] else ""),
    )
    yield "jobs", _counts(found["jobs"])


def _of_unit(found: Figures, now: datetime) -> Iterator[tuple[str, str]]:
    unit, day = found["unit"], found["last_day"]
    yield "unit", f"{unit['device'] or 'no radio'}, {unit['model']}, GTIN {unit['gtin']}, serial {unit['serial']}"
    yield "firmware", unit["firmware"] or "unknown"
    if unit["device"] is None:
        return
    yield "last heard", f"{_ago(unit['last_seen_at'], now)}, {CONNECTIONS[unit['connection']]}"
    lag = unit["lag_s"]
    behind = f", {lasting(timedelta(seconds=lag))} before its last word" if lag is not None else ""
    yield "newest reading", _ago(unit["latest_at"], now) + behind
    yield "clock", unit["clock"] + _off(unit["clock_off_s"])
    ages = ""
    if day["age_max_s"] is not None:
        middle, most = (lasting(timedelta(seconds=day[name])) for name in ("age_median_s", "age_max_s"))
        ages = f", {day['late']:,} more than an hour old on arrival; age {middle} in the middle, {most} at most"
    yield "last day", f"{count(day['readings'], 'reading')}{ages}"
    yield "came twice", _twice(day)
    yield "gaps", gaps(found["gaps"], now)
    yield "quarantine", _counts(found["quarantine"])


def _lines(said: Iterator[tuple[str, str]]) -> None:
    talk.figures(dict(said), json=False)


def _bands(found: Mapping[str, int], words: Mapping[str, str]) -> str:
    return ", ".join(f"{found[band]:,} {word}" for band, word in words.items() if found.get(band)) or "nobody"


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in found.items() if n) or "none"


def _ago(at: datetime | None, now: datetime) -> str:
    return f"{lasting(now - at)} ago" if at else "never"


def _since(at: datetime | None, now: datetime) -> str:
    return f", the first for {lasting(now - at)}" if at else ""


def _twice(found: Figures) -> str:
    return f"{found['redelivered']:,} readings from the broker, {found['resent']:,} from units in the last day"


def _off(seconds: float | None) -> str:
    if seconds is None:
        return ""
    span = lasting(timedelta(seconds=abs(seconds)))
    return f"; its newest reading came {span} {'before' if seconds > 0 else 'after'} the time that it gives"
