"""Sequences, clocks and belief: the arithmetic under ingest, without a database."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest import believe, clocks
from gateway.ingest.clocks import SECOND, Flag
from gateway.ingest.sequence import Gap, Sequence, changes
from gateway.registry.channels import Channel

NOW = clocks.micros(datetime(2025, 6, 1, 12, tzinfo=UTC))
UNIX = 1_748_779_200.0  # the same moment
PM25 = Channel(1, 1, "pm25", "ug/m3", "gauge", 0, 5_000)
RUNNING = Channel(2, 1, "running", "1", "state", 0, 1)

spans = st.tuples(st.integers(1, 60), st.integers(0, 12)).map(lambda span: (span[0], span[0] + span[1]))


@given(st.lists(spans, max_size=25))
def test_sequence_knows_what_is_new_and_what_is_missing(arrivals: list[tuple[int, int]]) -> None:
    """In any order and however often, each number is new once, and the gaps are what never came."""
    sequence, here = Sequence(), set[int]()
    for first, last in arrivals:
        fresh = [number for begin, end in sequence.arrive(first, last) for number in range(begin, end + 1)]
        assert sorted(set(range(first, last + 1)) - here) == sorted(fresh)
        assert len(fresh) == len(set(fresh))
        here |= set(fresh)
        missing = {number for gap in sequence.gaps for number in range(gap.first, gap.last + 1)}
        assert set(range(1, sequence.high + 1)) - here == missing
        safe = min(missing, default=sequence.high + 1) - 1
        assert safe == sequence.through


@given(st.lists(spans, max_size=12), st.lists(spans, max_size=12))
def test_gap_rows_follow_the_gaps(before: list[tuple[int, int]], after: list[tuple[int, int]]) -> None:
    """What is written to the gap rows leaves the gaps that remain."""
    sequence = Sequence()
    for first, last in before:
        sequence.arrive(first, last)
    stored = [gap._replace(row=place) for place, gap in enumerate(sequence.gaps)]
    sequence.gaps = list(stored)
    for first, last in after:
        sequence.arrive(first, last)
    found = changes(stored, sequence.gaps)
    rows = {gap.row: gap for gap in stored}
    for row in found.filled:
        del rows[row]
    rows |= {gap.row: gap for gap in found.shrunk}
    assert sorted([*rows.values(), *found.opened, *found.split], key=lambda gap: gap.first) == sequence.gaps


def test_lost_gap_holds_up_no_receipt_but_can_be_filled() -> None:
    """A gap that its unit gave up is passed, and still filled when it arrives after all."""
    sequence = Sequence(high=10, gaps=[Gap(3, 4, row=1, lost=True), Gap(8, 8, row=2)])
    assert 7 == sequence.through
    assert [(3, 4)] == sequence.arrive(3, 4)


def test_synced_time_is_taken_as_it_is() -> None:
    """A believable time is the unit's own, to the millisecond, however the batch was cut."""
    one = clocks.place("synced", UNIX - 60.1, 0.1, last=0.1, received=NOW, zero=None)
    other = clocks.place("synced", UNIX - 70, 10.0, last=10.0, received=NOW, zero=None)
    assert (NOW - 60 * SECOND, b"s", 0) == one[:3] == other[:3]


@pytest.mark.parametrize(
    ("t", "flags"),
    [
        (0.0, 0),
        (86_400.0, 0),
        (4_291_747_200.0, Flag.FUTURE),
        (-62_167_219_200.0, 0),
        (1e300, Flag.FUTURE),
        (-1e300, 0),
    ],
    ids=["1970", "the day after", "2106", "year 0", "beyond calendars", "before calendars"],
)
def test_unbelievable_time_is_placed_by_receipt(t: float, flags: int) -> None:
    """1970 is no clock and 2106 is flagged; both are placed by the time of receipt, spacing kept."""
    early = clocks.place("synced", t, 0.0, last=60.0, received=NOW, zero=None)
    late = clocks.place("synced", t, 60.0, last=60.0, received=NOW, zero=None)
    assert (NOW, b"n", flags) == late[:3]
    assert NOW - early.ts in (60 * SECOND, 0)  # so far out, a minute is lost in rounding


def test_uptime_is_placed_by_its_anchor() -> None:
    """Uptime counts from an anchor that the first message fixes and no later one moves."""
    zero = clocks.anchor(100.0, 20.0, NOW)
    later = clocks.place("relative", 500.0, 0.0, last=0.0, received=NOW + 999 * SECOND, zero=zero)
    assert (NOW + 380 * SECOND, b"r") == later[:2]


def test_half_a_year_in_a_cellar_is_flagged_late() -> None:
    """Up to 90 days late is everyday life; beyond, it is flagged and believed."""
    assert [0, Flag.LATE] == [
        clocks.place("synced", UNIX - days * 86_400, 0.0, last=0.0, received=NOW, zero=None).flags for days in (89, 91)
    ]


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False),
       st.sampled_from(["synced", "relative", "none"]))  # fmt: skip
def test_any_time_is_placed_where_it_can_be_stored(t: float, offset: float, clock: clocks.Clock) -> None:
    """No time, however wrong, is placed before units existed or ahead of us."""
    placed = clocks.place(clock, t, offset, last=offset, received=NOW, zero=clocks.anchor(t, offset, NOW))
    assert clocks.EARLIEST <= placed.ts <= NOW + clocks.AHEAD
    if placed.raw is not None:
        assert isinstance(clocks.moment(placed.raw), datetime)


def test_sentinels_keep_their_reason() -> None:
    """INV, 65535 and the like are no values, and why is kept; numbers in range and booleans of states are."""
    assert (9.0, 0) == believe.judge(9.0, PM25)
    assert (1.0, 0) == believe.judge(True, RUNNING)
    for value, reason in (("INV", "INV"), (None, "null"), (65_535.0, "sentinel"), (-1.0, "sentinel")):
        judged = believe.judge(value, PM25)
        assert judged
        assert reason == believe.why_no_value(judged[1])


@pytest.mark.parametrize("value", [5_001.0, -2.0, "nine", True])
def test_unbelievable_values_are_not_stored(value: believe.Value) -> None:
    """What a channel cannot measure is refused."""
    assert believe.judge(value, PM25) is None


def test_counter_contradicts_its_high_mark_both_ways() -> None:
    """Lower though later, or higher though earlier, is a contradiction; late and lower is not."""
    hour = timedelta(hours=1) // timedelta(microseconds=1)
    assert believe.went_back(99.0, NOW + hour, 100.0, NOW)
    assert believe.went_back(101.0, NOW - hour, 100.0, NOW)
    assert not believe.went_back(99.0, NOW - hour, 100.0, NOW)
    assert not believe.went_back(100.0, NOW + hour, 100.0, NOW)
