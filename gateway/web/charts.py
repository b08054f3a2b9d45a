"""Charts drawn on the server: numbers in, SVG coordinates, a sentence and a table out. No script, no inline style."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from math import floor, log10

from gateway.notify.words import days_between, span
from gateway.registry.timeline import CycleOf, Day, ForecastAt
from gateway.web import words

WIDTH, SMALL = 720.0, 400.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 12.0, 14.0, 24.0
NARROW = 36.0  # room for the numbers of a small chart
STEPS_D = (1, 2, 7, 14, 30, 61, 91, 182, 365, 730)
NAMES = {"runtime": "Running time", "pm25": "PM2.5", "pm10": "PM10", "left_pct": "Left, by its own report",
         "left_h": "Hours left, by its own report", "rssi": "Signal", "tds": "Dissolved solids",
         "running": "Running, share of the time"}  # fmt: skip
UNITS = {"ug/m3": "µg/m³", "m3/h": "m³/h", "degC": "°C", "1": ""}


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight line from values to coordinates."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        reach = self.high - self.low or 1.0
        share = (min(max(value, self.low), self.high) - self.low) / reach
        return round(self.start + share * (self.end - self.start), 1)


@dataclass(frozen=True, slots=True)
class Mark:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawn chart; `areas` and `lines` are lists of points, `columns` are (x, y, width, height)."""

    title: str
    sentence: str
    width: float
    height: float
    left: float
    xs: list[Tick]
    ys: list[Tick]
    areas: list[str]
    lines: list[str]
    dots: list[tuple[float, float]]
    columns: list[tuple[float, float, float, float]]
    today: str
    marks: list[Mark]
    head: list[str]
    rows: list[list[str]]


def _stamp(at: datetime) -> float:
    return at.timestamp()


def _points(pairs: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in pairs)


def _dates(low: datetime, high: datetime, scale: Scale, at_most: int) -> list[Tick]:
    """Return round dates for an axis, no more than `at_most`."""
    reach = max(days_between(high, low), 0.5)
    step = next((s for s in STEPS_D if reach / s <= at_most), STEPS_D[-1])
    midnight = low.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight if midnight == low else midnight + timedelta(days=1)
    dates = [first + timedelta(days=step * i) for i in range(int(reach / step) + 1)]
    pattern = "%b %Y" if step >= 61 else "%-d %b"
    return [Tick(scale(_stamp(d)), format(d, pattern)) for d in dates if d < high]


def _numbers(low: float, high: float, scale: Scale) -> list[Tick]:
    """Return three or four round numbers for an axis."""
    raw = (high - low) / 3 or 1.0
    size = 10.0 ** floor(log10(raw))
    step = next(m * size for m in (1, 2, 2.5, 5, 10, 20) if m * size >= raw)
    first = -(-low // step) * step
    values = (float(f"{first + i * step:.6g}") for i in range(5))
    return [Tick(scale(v), f"{v:g}") for v in values if v <= high]


def _number(value: float) -> str:
    """Return a number to one decimal, or to two digits where that would leave nothing of it."""
    return f"{value:,.1f}" if value == 0 or abs(value) >= 0.1 else f"{value:.2g}"


def forecast_band(
    slot: str, forecasts: Sequence[ForecastAt], marks: Sequence[tuple[datetime, str]] = ()
) -> Chart | None:
    """Draw the end-of-life date against the day on which it was forecast: the band narrows as the end comes near.

    Returns None for fewer than two forecasts.
    """
    if len(forecasts) < 2:
        return None
    height = 260.0
    begin, last = forecasts[0].made_at, forecasts[-1].made_at
    low, high = min(begin, *(f.eol_q10 for f in forecasts)), max(f.eol_q90 for f in forecasts)
    x = Scale(_stamp(begin), _stamp(last), LEFT + 18, WIDTH - RIGHT)
    y = Scale(_stamp(low), _stamp(high), height - BOTTOM, TOP)
    areas, lines = [], []
    for _, group in groupby(forecasts, key=lambda f: f.cycle_id):
        run = list(group)
        upper = [(x(_stamp(f.made_at)), y(_stamp(f.eol_q90))) for f in run]
        lower = [(x(_stamp(f.made_at)), y(_stamp(f.eol_q10))) for f in reversed(run)]
        areas.append(_points(upper + lower))
        lines.append(_points([(x(_stamp(f.made_at)), y(_stamp(f.eol_q50))) for f in run]))
    latest = forecasts[-1]
    reach = days_between(latest.eol_q90, latest.eol_q10)
    width = f": a range of {span(reach, 'en')}" if reach >= 1 else ""
    meets = min(last, high)
    return Chart(
        title=f"{slot}: when it ends, as forecast over time",
        sentence=f"The latest forecast, of {words.date(latest.made_at)}, says {words.date(latest.eol_q50)}, between "
        f"{words.date(latest.eol_q10)} and {words.date(latest.eol_q90)}{width}. "
        "The band holds eight in ten; the dotted line is the day of the forecast itself.",
        width=WIDTH,
        height=height,
        left=LEFT,
        xs=_dates(begin, last, x, 7),
        ys=_dates(low, high, y, 5),
        areas=areas,
        lines=lines,
        dots=[(x(_stamp(latest.made_at)), y(_stamp(latest.eol_q50)))],
        columns=[],
        today=_points([(x(_stamp(begin)), y(_stamp(begin))), (x(_stamp(meets)), y(_stamp(meets)))]),
        marks=[Mark(x(_stamp(at)), label) for at, label in marks if begin <= at <= last],
        head=["Made", "Earliest", "Likely", "Latest", "Left", "Basis", "Model"],
        rows=[
            [
                words.moment(f.made_at), words.date(f.eol_q10), words.date(f.eol_q50), words.date(f.eol_q90),
                f"{f.pct_left:.0f} %", f.basis,
                f.predictor + (f" {f.model_version_id}" if f.model_version_id else ""),
            ]
            for f in reversed(forecasts)
        ],
    )  # fmt: skip


def readings(days: Sequence[Day], slots: dict[int, str]) -> list[Chart]:
    """Draw each channel by day: a counter as what it rose, a gauge as its mean within its extremes."""
    return [
        _channel(list(group), slots.get(slot_id, ""))
        for (_, slot_id), group in groupby(days, key=lambda d: (d.channel, d.slot_id))
    ]


def _channel(days: list[Day], slot: str) -> Chart:
    first = days[0]
    counter = first.kind == "counter"
    height = 150.0
    begin = datetime(first.day.year, first.day.month, first.day.day, tzinfo=UTC)
    end = datetime(days[-1].day.year, days[-1].day.month, days[-1].day.day, tzinfo=UTC) + timedelta(days=1)
    low = 0.0 if counter else min(0.0, *(d.low for d in days))
    high = max([d.rise if counter else d.high for d in days]) or 1.0
    x = Scale(0, max(days_between(end, begin), 1), NARROW, SMALL - RIGHT)
    y = Scale(low, high, height - BOTTOM, TOP)
    at = {d.day: (d.day - first.day).days for d in days}
    wide = max(round((SMALL - NARROW - RIGHT) / x.high * 0.7, 1), 1.0)
    unit = UNITS.get(first.unit, first.unit)
    name = NAMES.get(first.channel, first.channel.replace("_", " ").capitalize()) + (f", {slot}" if slot else "")
    middle = [(round(x(at[d.day] + 0.5), 1), y(d.mean)) for d in days]
    lonely = len(days) == 1
    return Chart(
        title=f"{name} ({unit} a day)" if counter else f"{name} ({unit})" if unit else name,
        sentence=_said(days, unit, counter),
        width=SMALL,
        height=height,
        left=NARROW,
        xs=_dates(begin, end, Scale(_stamp(begin), _stamp(end), NARROW, SMALL - RIGHT), 5),
        ys=_numbers(low, high, y),
        areas=[]
        if counter or lonely
        else [
            _points(
                [(x(at[d.day] + 0.5), y(d.high)) for d in days]
                + [(x(at[d.day] + 0.5), y(d.low)) for d in reversed(days)]
            )
        ],
        lines=[] if counter or lonely else [_points(middle)],
        dots=middle if lonely and not counter else [],
        columns=[
            (round(x(at[d.day] + 0.15), 1), y(d.rise), wide, round(y(0) - y(d.rise), 1)) for d in days if d.rise > 0
        ]
        if counter
        else [],
        today="",
        marks=[],
        head=["Day", "Rise"] if counter else ["Day", "Mean", "Lowest", "Highest"],
        rows=[[str(d.day), *map(_number, (d.rise,) if counter else (d.mean, d.low, d.high))] for d in reversed(days)],
    )


def _said(days: list[Day], unit: str, counter: bool) -> str:
    n, unit = words.count(len(days), "day"), f" {unit}" if unit else ""
    if counter:
        total = sum(d.rise for d in days)
        return f"Rose by {_number(total)}{unit} on {n}, {_number(total / len(days))}{unit} a day."
    mean = sum(d.mean for d in days) / len(days)
    low, high = min(d.low for d in days), max(d.high for d in days)
    return f"{_number(mean)}{unit} on average over {n}, between {_number(low)} and {_number(high)}."


@dataclass(frozen=True, slots=True)
class Stretch:
    """One cycle as a bar: where it is, what stands in it, whether it runs."""

    x: float
    y: float
    width: float
    text: str
    running: bool


@dataclass(frozen=True, slots=True)
class Cycles:
    """All cycles of a unit on one time axis, a row for each slot."""

    sentence: str
    height: float
    xs: list[Tick]
    labels: list[Tick]
    stretches: list[Stretch]


ROW = 44.0


def cycle_bars(cycles: Sequence[CycleOf], now: datetime) -> Cycles | None:
    """Draw the cycles of a unit; None when it has none."""
    if not cycles:
        return None
    begin = min(c.start for c in cycles)
    end = max(now, *(c.end or now for c in cycles))
    x = Scale(_stamp(begin), _stamp(end), 12.0, WIDTH - RIGHT)
    slots = list(dict.fromkeys(c.slot for c in cycles))
    over = [c for c in cycles if c.end]
    lasted = sum(days_between(c.end, c.start) for c in over if c.end)
    mean = f" The finished ones lasted {span(lasted / len(over), 'en')} on average." if over else ""
    return Cycles(
        sentence=f"{words.count(len(cycles), 'cycle')} since {words.date(begin)}, {len(over)} of them finished.{mean}",
        height=ROW * len(slots) + BOTTOM,
        xs=[tick for tick in _dates(begin, end, x, 7) if 30 < tick.at < WIDTH - 30],
        labels=[Tick(ROW * i + 12, slot) for i, slot in enumerate(slots)],
        stretches=[
            Stretch(
                x=x(_stamp(c.start)),
                y=ROW * slots.index(c.slot) + 18,
                width=max(round(x(_stamp(c.end or now)) - x(_stamp(c.start)) - 2, 1), 3.0),
                text=span(days_between(c.end or now, c.start), "en"),
                running=c.end is None,
            )
            for c in cycles
        ],
    )
