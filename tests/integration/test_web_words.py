"""What pages say about time, and what charts make of little."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.registry.timeline import CycleOf, Day, ForecastAt
from gateway.web import charts, owner_view, words

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ((28, 42, 63), ("about 6 weeks left", "4 to 9")),
        ((41, 42, 43), ("about 6 weeks left", "")),
        ((-3, 4, 9), ("about 4 days left", "0 to 9")),
        ((100, 152, 190), ("about 5 months left", "3 to 6")),
        ((-2, 0.5, 2), ("due within a day", "")),
        ((-9, -0.5, 2), ("due today", "")),
        ((-40, -19, -4), ("past its end by about 3 weeks", "")),
        ((700, 900, 1400), ("about 2 years left", "2 to 4")),
    ],
)
def test_how_long_a_part_lasts_is_said_as_people_do(days: tuple[float, float, float], said: tuple[str, str]) -> None:
    """One number in the unit that fits it, and the interval in the same unit, where there is one."""
    assert said == words.left(NOW, *(NOW + timedelta(days=d) for d in days))


@pytest.mark.parametrize(
    ("past", "said"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(seconds=-5), "just now"),
        (timedelta(minutes=4), "4 minutes ago"),
        (timedelta(minutes=90), "90 minutes ago"),
        (timedelta(hours=15), "15 hours ago"),
        (timedelta(days=19), "3 weeks ago"),
    ],
)
def test_how_long_ago_something_was(past: timedelta, said: str) -> None:
    """From now to years."""
    assert said == words.ago(NOW, NOW - past)


@pytest.mark.parametrize(
    ("window", "said"),
    [
        (timedelta(0), "1 minute"),
        (timedelta(minutes=30), "30 minutes"),
        (timedelta(hours=12), "12 hours"),
        (timedelta(days=3), "3 days"),
    ],
)
def test_how_long_an_order_can_be_undone(window: timedelta, said: str) -> None:
    """In the unit that fits it."""
    assert said == owner_view.undo_words(window)


def forecast(day: int, low: float, mid: float, high: float) -> ForecastAt:
    made = NOW + timedelta(days=day)
    ends = [NOW + timedelta(days=d) for d in (low, mid, high)]
    return ForecastAt(1, 1, made, *ends, 50, "measured", "weibull", None, None)


def test_a_band_needs_two_forecasts() -> None:
    """One forecast is a sentence, not a curve."""
    assert charts.forecast_band("Filter", []) is None
    assert charts.forecast_band("Filter", [forecast(0, 1, 2, 3)]) is None


def test_a_band_stays_inside_its_frame() -> None:
    """Every point lies in the drawing, also when all forecasts are the same or the end is past."""
    for made in (
        [forecast(i, 30 - i, 60, 90 - i) for i in range(20)],
        [forecast(i, 5, 5, 5) for i in range(3)],
        [forecast(i, -9, -5, -1) for i in range(3)],
        [forecast(0, 1, 2, 3), forecast(0, 1, 2, 3)],
    ):
        chart = charts.forecast_band("Filter", made, [(NOW, "asked")])
        assert chart
        for pair in " ".join([*chart.areas, *chart.lines, chart.today]).split():
            x, y = (float(n) for n in pair.split(","))
            assert 0 <= x <= chart.width
            assert 0 <= y <= chart.height
        assert len(made) == len(chart.rows)


def test_readings_of_one_day_or_of_nothing_but_zeros_are_drawn() -> None:
    """A single day is a point; a constant is a line; a counter that stood still has no columns."""
    day = NOW.date()
    lone = Day("pm25", "ug/m3", "gauge", 0, day, 4, 9, 6, 0)
    still = [Day("runtime", "h", "counter", 0, day + timedelta(days=i), 5, 5, 5, 0) for i in range(4)]
    signal = [Day("rssi", "dBm", "gauge", 0, day + timedelta(days=i), -60, -60, -60, 0) for i in range(4)]
    point, columns, line = (charts.readings(days, {})[0] for days in ([lone], still, signal))
    assert (1, []) == (len(point.dots), point.lines)
    assert "6.0 µg/m³ on average over 1 day" in point.sentence
    assert [] == columns.columns
    assert 1 == len(line.lines)


@pytest.mark.parametrize(("size", "low", "high"), [(0.01, "0.005", "0.015"), (2e-5, "1e-05", "3e-05")])
def test_readings_far_below_one_have_a_scale_and_are_said(size: float, low: str, high: str) -> None:
    """A channel in milligrams where micrograms are measured: numbers stand on its axis, in its sentence, its table."""
    day = NOW.date()
    mean = [size * (0.5 + i / 4) for i in range(5)]
    chart = charts.readings(
        [Day("fume", "mg/m3", "gauge", 0, day + timedelta(days=i), m, m, m, 0) for i, m in enumerate(mean)], {}
    )[0]
    assert len(chart.ys) >= 3
    assert chart.sentence.endswith(f"between {low} and {high}.")
    assert high in chart.rows[0]


def test_a_day_is_named_where_it_begins() -> None:
    """The one day that was heard of stands on the axis, not the day after it."""
    chart = charts.readings([Day("pm25", "ug/m3", "gauge", 0, NOW.date(), 4, 9, 6, 0)], {})[0]
    assert ["23 Nov"] == [tick.label for tick in chart.xs]


def test_cycles_are_rows_on_one_axis() -> None:
    """Each slot has its row, each cycle its stretch; no cycle, no drawing."""
    assert charts.cycle_bars([], NOW) is None
    first = CycleOf(1, 1, "Filter", None, NOW - timedelta(days=90), NOW - timedelta(days=30), 400, "factory", "worn")
    second = CycleOf(2, 1, "Filter", "HEPA", NOW - timedelta(days=30), None, None, "owner", None)
    other = CycleOf(3, 2, "Carbon", None, NOW - timedelta(days=90), None, None, "factory", None)
    bars = charts.cycle_bars([first, second, other], NOW)
    assert bars
    assert ["Filter", "Carbon"] == [label.label for label in bars.labels]
    assert [False, True, True] == [stretch.running for stretch in bars.stretches]
    assert bars.stretches[0].y == bars.stretches[1].y != bars.stretches[2].y
    assert "1 of them finished" in bars.sentence
