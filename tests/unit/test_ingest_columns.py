"""Columns say what one reading after another would: placed, believed, marked and rolled up alike."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest import believe, clocks
from gateway.ingest.arrays import NO_TIME
from gateway.ingest.believe import went_back
from gateway.ingest.clocks import AHEAD, CLOCKS, EARLIEST, SECOND, Flag
from gateway.ingest.counters import Highs, Reset
from gateway.ingest.readings import READING, Readings, in_order

NOW = clocks.micros(datetime(2025, 6, 1, 12, tzinfo=UTC))
UNIX = 1_748_779_200.0  # the same moment

near = st.floats(-1e4, 1e4) | st.floats(allow_nan=False, allow_infinity=False)
times = near.map(lambda t: UNIX + t) | near
anchors = st.none() | st.integers(EARLIEST, NOW + AHEAD)


@given(st.lists(st.tuples(st.sampled_from(CLOCKS), times, near, near, st.integers(0, 99), anchors), min_size=1))
def test_many_samples_are_placed_as_one_is(
    told: list[tuple[clocks.Clock, float, float, float, int, int | None]],
) -> None:
    """Whatever a unit's clock says, a column of samples happened when each by itself did."""
    alone = [
        clocks.place(clock, t, offset, last=last, received=NOW + late * SECOND, zero=zero)
        for clock, t, offset, last, late, zero in told
    ]
    clock, t, offset, last, late, zero = zip(*told, strict=True)
    placed = clocks.place_all(
        np.array([CLOCKS.index(each) for each in clock]),
        np.array(t),
        np.array(offset),
        np.array(last),
        NOW + np.array(late) * SECOND,
        np.array([NO_TIME if each is None else each for each in zero]),
    )
    assert [one.ts for one in alone] == placed.ts.tolist()
    assert [one.clock for one in alone] == placed.clock.tolist()
    assert [one.flags for one in alone] == placed.flags.tolist()
    assert [NO_TIME if one.raw is None else one.raw for one in alone] == placed.raw.tolist()


@given(st.lists(st.sampled_from([-1.0, 65_535.0, 0.0, 5_000.0, 5_000.1, -2.0]) | st.floats(-1e5, 1e5), min_size=1))
def test_many_numbers_are_judged_as_one_is(values: list[float]) -> None:
    """A number is believed, stands for none, or is refused: in a column as by itself."""
    channel = believe.Channel(1, 1, "pm25", "ug/m3", "gauge", 0, 5_000)
    within, none = believe.judge_all(np.array(values), np.array(channel.low), np.array(channel.high))
    for value, believed, stands_for_none in zip(values, within.tolist(), none.tolist(), strict=True):
        judged = believe.judge(value, channel)
        assert (judged is not None) == (believed or stands_for_none)
        assert (judged is not None and judged[1] != 0) == stands_for_none


def counter(rows: list[tuple[int, int, float]]) -> Readings:
    """Return readings of counters: (unit, second, value)."""
    found = np.zeros(len(rows), READING)
    for place, (unit, second, value) in enumerate(rows):
        row = found[place]
        row["tenant_id"], row["unit_id"], row["slot_id"], row["channel_id"] = 1, unit, 0, 5
        row["ts"], row["value"], row["key"], row["counter"], row["seq"] = second, value, unit, True, place
    return found


class OneByOne:
    """The plain words of what a high mark is."""

    def __init__(self, known: dict[int, tuple[float, int]]) -> None:
        self.known = known

    def flags(self, rows: list[tuple[int, int, float]]) -> list[int]:
        found = []
        for unit, second, value in rows:
            high = self.known.get(unit)
            back = high is not None and went_back(value, second, *high)
            if not back and (high is None or value > high[0]):
                self.known[unit] = (value, second)
            found.append(Flag.BACK if back else 0)
        return found


rows = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9), st.integers(0, 6).map(float)), max_size=20)


@given(st.dictionaries(st.integers(1, 3), st.tuples(st.integers(0, 6).map(float), st.integers(0, 9))), rows, rows)
def test_counters_are_marked_as_one_after_the_other(
    known: dict[int, tuple[float, int]],
    first: list[tuple[int, int, float]],
    second: list[tuple[int, int, float]],
) -> None:
    """Rising or not, early or late, with a reset in between: the same readings went back, the same marks stand."""
    plain = OneByOne(dict(known))
    expected = plain.flags(first)
    plain.known[1] = (0.0, 4)
    expected += plain.flags(second)
    highs = Highs({(unit, 0, 5): mark for unit, mark in known.items()})
    readings = counter(first + second)
    highs.flag(readings[: len(first)])
    highs.reset(Reset(len(first), 1, 1, 0, 5, 0.0, 4))
    highs.flag(readings[len(first) :])
    assert expected == readings["flags"].tolist()
    assert {(unit, 0, 5): mark for unit, mark in plain.known.items()} == highs.known


@given(rows)
def test_readings_are_put_in_order(told: list[tuple[int, int, float]]) -> None:
    """By key, then time, then sequence number, whatever came first."""
    ordered = in_order(counter(told))
    expected = sorted((unit, second, place) for place, (unit, second, _) in enumerate(told))
    assert expected == [(int(row["key"]), int(row["ts"]), int(row["seq"])) for row in ordered]
