"""Bands that units fall into, as SQL over table unit: a few words instead of a figure for each of thousands."""

from collections.abc import Iterable
from datetime import timedelta

SILENT_AFTER = timedelta(days=1)  # a unit with a radio that said nothing for so long
BEHIND_AFTER = timedelta(hours=6)  # a unit that speaks, with nothing newer to say than so long ago

HEARD = """case when last_seen_at is null then 'never'
    when last_seen_at >= %(now)s - interval '1 hour' then 'hour'
    when last_seen_at >= %(now)s - interval '1 day' then 'day'
    when last_seen_at >= %(now)s - interval '7 days' then 'week'
    else 'longer' end"""
BEHIND = """case when latest_at is null then 'unknown'
    when last_seen_at - latest_at <= interval '1 minute' then 'minute'
    when last_seen_at - latest_at <= interval '1 hour' then 'hour'
    when last_seen_at - latest_at <= interval '1 day' then 'day'
    else 'longer' end"""
CLOCKS = {"s": "synced", "r": "relative", "n": "none", "w": "wrong", None: "unknown"}
_SAID = " ".join(f"when '{sign}' then '{said}'" for sign, said in CLOCKS.items() if sign)
CLOCK = f"case clock {_SAID} else 'unknown' end"
HERE = "device is not null and last_seen_at >= %(now)s - interval '1 day'"  # whose lag and clock mean something


def _counted(bands: Iterable[str], expression: str, whose: str) -> str:
    """Return a query for how many units fall into each band; a band without any is there as well."""
    named = "{" + ",".join(bands) + "}"
    return f"""select band, count(unit_id) from unnest('{named}'::text[]) band
        left join unit on band = {expression} and {whose} group by 1"""


BY_HEARD = _counted(("hour", "day", "week", "longer", "never"), HEARD, "device is not null")
BY_LAG = _counted(("minute", "hour", "day", "longer", "unknown"), BEHIND, HERE)
BY_CLOCK = _counted(CLOCKS.values(), CLOCK, HERE)
