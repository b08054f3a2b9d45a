"""From what one message costs to what a fleet asks for: pure arithmetic over costs.toml, a row for each size."""

import tomllib
from pathlib import Path
from typing import Any

from tests.benchmarks.scaling.profiles import DAY_S, PROFILES, VALUES, Profile

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
PEAK = 3  # times the mean: evenings, and catching up after an outage
BACK_S = 600  # seconds within which everybody has come back after an outage of the broker
YEAR_D = 365
COSTS = tomllib.loads((Path(__file__).parent / "costs.toml").read_text())

Row = list[str]


def tables() -> dict[str, str]:
    """Return the tables of docs/scaling.md, by their names there."""
    found = {"costs": _table(("cost", *(profile.name for profile in PROFILES)), _costs())}
    for profile in PROFILES:
        found[profile.name] = _table(STREAM, [_stream(profile, units) for units in SIZES])
    found["around"] = _table(AROUND, [_around(units) for units in SIZES])
    return found


def _costs() -> list[Row]:
    told = (
        ("readings in a message", lambda profile, _: profile.readings),
        ("bytes of its payload", lambda _, cost: cost["payload_bytes"]),
        ("gateway, µs", lambda _, cost: cost["gateway_us"]),
        ("PostgreSQL, µs", lambda _, cost: cost["postgres_us"]),
        ("broker, in and out, µs", lambda _, cost: cost["broker_us"]),
        ("write-ahead log, bytes", lambda _, cost: cost["wal_bytes"]),
        ("store with indexes, bytes a reading", lambda _, cost: cost["reading_bytes"]),
        ("rollup with index, bytes a channel and hour", lambda _, cost: cost["hourly_bytes"]),
    )
    return [[name, *(number(value(profile, COSTS[profile.name])) for profile in PROFILES)] for name, value in told]


STREAM = ("units", "messages/s", "readings/s", "gateway cores", "PostgreSQL cores", "broker cores", "WAL MB/s",
          "readings GB/day", "rollups GB/day")  # fmt: skip


def _stream(profile: Profile, units: int) -> Row:
    cost: dict[str, float] = COSTS[profile.name]
    messages = units / profile.every_s
    cores = [PEAK * messages * cost[name] / 1e6 for name in ("gateway_us", "postgres_us", "broker_us")]
    stored = units * profile.messages_a_day * profile.readings * cost["reading_bytes"] / 1e9
    rolled = units * VALUES * DAY_S / 3_600 * cost["hourly_bytes"] / 1e9
    wal = messages * cost["wal_bytes"] / 1e6
    return [
        f"{units:,}", number(messages), number(messages * profile.readings), *map(number, cores), number(wal),
        number(stored), number(rolled),
    ]  # fmt: skip


AROUND = ("units", "sessions over TLS, GB", "cores to come back", "forecasts/s", "cores for them", "prompts/day",
          "payment calls/s")  # fmt: skip


def _around(units: int) -> Row:
    connection, forecast, order = COSTS["connection"], COSTS["forecast"], COSTS["order"]
    sessions = units * connection["tls_kib"] * 1_024 / 1e9
    back = units / BACK_S * connection["tls_ms"] / 1e3
    forecasts = units / PROFILES[0].every_s
    prompts = units / YEAR_D * order["prompts_a_year"]
    paying = PEAK * prompts * order["taken"] * order["calls"] / DAY_S
    return [
        f"{units:,}", number(sessions), number(back), number(forecasts), number(forecasts * forecast["slot_us"] / 1e6),
        number(prompts), number(paying),
    ]  # fmt: skip


def number(value: Any) -> str:
    """Return a number with two significant digits below a hundred and whole from there on; a count as it is."""
    if value == 0 or value >= 100 or isinstance(value, int):
        return f"{value:,.0f}"
    if value < 0.001:
        return "<0.001"
    digits = 1 if value >= 10 else 2 if value >= 1 else 3 if value >= 0.1 else 4
    text = f"{value:.{max(digits - 1, 0)}f}"
    return text if float(text) else "<0.001"


def _table(head: tuple[str, ...], rows: list[Row]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
