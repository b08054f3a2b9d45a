"""The recorded sets: where their files lie, what a maker would declare of them, and their traps."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.replay import phme20
from predictors.declaration import Declaration
from tests.benchmarks.wear.recording import Array, Recording, recording

GAS_EOL_PA = 600.0
GRAIN_UM = {"A1 ": 4.0, "A2 ": 10.0, "A3 ": 20.0, "A4 ": 38.0}  # ISO 12103-1, about the median by volume
GAS_COLUMNS = ("Data_No", "Differential_pressure", "Time", "Dust_feed", "RUL", "Flow_rate")
GAP = 5.0  # median steps of time: a longer gap was not recorded


@dataclass(frozen=True, slots=True)
class RecordedSet:
    """Hold what is declared of a set: how to read a part of it, and the indicator's end and levels.

    read: a folder (train or test) to recordings. protocols: names of the conditions that can be left out, besides
    cross-validation by unit; the first is the set's leave_one_condition_out.
    """

    name: str
    read: Callable[[Path], Iterator[Recording]]
    indicator_eol: float
    levels: tuple[float, ...] = ()
    protocols: tuple[str, ...] = ()
    smoothing: int = 21

    @property
    def declared(self) -> Declaration:
        """Return the declaration; the rated life, which differs from fold to fold, is left to the fit."""
        return Declaration(None, 1.0, self.indicator_eol, self.levels)

    def parts(self, root: Path) -> tuple[list[Recording], list[Recording]]:
        """Return the train and the test part below root / name; a set without parts is all train."""
        folder = root / self.name
        train = folder / "train" if (folder / "train").is_dir() else folder
        test = folder / "test"
        return list(self.read(train)), list(self.read(test)) if test.is_dir() else []


def esrel22(folder: Path) -> Iterator[Recording]:
    """Yield the runs: differential pressure over time, load = dust feed; the last row is the end."""
    for file in sorted(folder.glob("run_*.csv")):
        table = np.genfromtxt(file, delimiter=",", names=True, encoding="utf-8")
        time, pressure, feed = (table[name] for name in ("Zeit", "Differenzdruck", "Vorschub"))
        past = np.flatnonzero(pressure > GAS_EOL_PA)
        ends = float(time[past[0]]) if past.size else float(time[-1] + table["RUL"][-1])
        yield recording(file.stem, f"feed {feed[0]:g}", (time, pressure, feed), ends)


def phme20_runs(folder: Path) -> Iterator[Recording]:
    """Yield the runs: pressure drop over time, load = solid ratio, cut at 20 psi.

    The pump holds its flow until the filter chokes it, so the concentration alone is the load that a maker knows.
    """
    for run in phme20.runs(folder):
        load = np.full(run.time_s.size, run.solid_ratio or 1.0)
        ends = float("nan") if run.eol_s is None else run.eol_s
        ratio = run.profile.rpartition(" ")[2]
        columns = (run.time_s, run.pressure_drop_pa, load)
        covariates = (run.solid_ratio or float("nan"), _midpoint(run.particles_um))
        yield recording(
            f"{run.size} {run.name}", run.profile, columns, ends, covariates=covariates, concentration=ratio
        )


def gas_filters(folder: Path) -> Iterator[Recording]:
    """Yield the runs of runs.csv (vdq, p2p): differential pressure over time, load = dust feed.

    Where a file has a column RUL, it tells the end of life of runs that were stopped before it. Trap: in vdq's file
    the headers Dust_feed and RUL are swapped; what falls all along is the remaining life, whatever its header.
    """
    for file in sorted(folder.glob("*.csv")):
        with file.open(encoding="utf-8-sig") as lines:
            header = [name.strip() for name in lines.readline().split(",")]
        names = [name for name in GAS_COLUMNS if name in header]
        # Dust names hold a comma of their own and stand last: count the columns from the left.
        columns = [header.index(name) for name in names]
        rows = [line.split(",") for line in file.read_text(encoding="utf-8-sig").splitlines()[1:] if line.strip()]
        dust = {row[columns[0]]: row[-1].strip().strip('"') for row in rows} if "Dust" in header else {}
        table = np.array([[_number(row[column]) for column in columns] for row in rows])
        numbers = [row[columns[0]] for row in rows]
        for number in dict.fromkeys(numbers):
            mine = table[[one == number for one in numbers]]
            run = dict(zip(names, mine.T, strict=True))
            time, pressure, feed = run["Time"], run["Differential_pressure"], run["Dust_feed"]
            left = run.get("RUL")
            if left is not None and _falls(feed) and not _falls(left):
                feed, left = left, feed
            flow = run.get("Flow_rate", np.full_like(time, np.nan))
            time, pressure, feed, flow = _unbroken(time, pressure, feed, flow)
            past = np.flatnonzero(pressure > GAS_EOL_PA)
            told = float("nan") if left is None else float(time[-1] + left[min(time.size, left.size) - 1])
            ends = float(time[past[0]]) if past.size else told
            sort = dust.get(number, "one dust")
            covariates = (flow, _grain(sort)) if dust else (flow,)
            yield recording(f"run {number}", sort, (time, pressure, feed), ends, covariates=covariates)


def cmapss(folder: Path) -> Iterator[Recording]:
    """Yield the engines of each fleet: static pressure at the compressor's outlet (sensor 11) over cycles."""
    for file in sorted(folder.glob("*FD0*.txt*")):
        if file.name.startswith("RUL"):
            continue
        fleet = file.name.split(".")[0].rpartition("_")[2]
        table = np.loadtxt(file)
        told = [found for found in sorted(folder.glob(f"RUL_{fleet}*")) if found.is_file()]
        beyond = np.atleast_1d(np.loadtxt(told[0])) if told else None
        for i, engine in enumerate(np.unique(table[:, 0])):
            rows = table[table[:, 0] == engine]
            ends = float(rows[-1, 1]) + (float(beyond[i]) if beyond is not None else 0.0)
            yield recording(f"{fleet} {engine:g}", fleet, (rows[:, 1], rows[:, 15], np.ones(len(rows))), ends)


def battery(folder: Path) -> Iterator[Recording]:
    """Yield the cells: capacity over discharges, which recovers after rest; some never came to 1.4 Ah."""
    for file in sorted(folder.glob("*.csv")):
        table = np.genfromtxt(file, delimiter=",", names=True, encoding="utf-8")
        below = np.flatnonzero(table["capacity"] < 1.4)
        ends = float(table["discharge"][below[0]]) if below.size else float("nan")
        columns = (table["discharge"], table["capacity"], np.ones(table.size))
        yield recording(file.stem, file.stem, columns, ends)


def _midpoint(sizes: str) -> float:
    """Return the middle of a range of particle sizes, "45-53"; NaN where it is none."""
    ends = [_number(end) for end in sizes.split("-")]
    return float(np.mean(ends))


def _grain(dust: str) -> float:
    """Return the typical grain of a test dust by its class, in micrometres; NaN of one that is not known."""
    return next((size for name, size in GRAIN_UM.items() if name in dust), float("nan"))


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def _falls(values: Array) -> bool:
    return bool(values.size > 1 and (np.diff(values) < 0).mean() > 0.9)


def _unbroken(time: Array, *columns: Array) -> list[Array]:
    """Return the samples before the first gap: what wore the part meanwhile, nobody knows.

    A clock that starts late (p2p's run 28, at 157 s) is set back: nothing had been fed before the first sample.
    """
    steps = np.diff(time, prepend=time[0])
    usual = float(np.median(steps))
    if time.size and time[0] > GAP * usual + 1.0:
        time = time - time[0] + usual
    gap = np.flatnonzero(steps > GAP * usual + 1.0)
    cut = slice(0, int(gap[0]) if gap.size else None)
    return [time[cut], *(column[cut] for column in columns)]


PRESSURE_COMPRESSOR = tuple(float(level) for level in np.linspace(47.35, 48.15, 16))
CAPACITY_AH = tuple(float(level) for level in np.linspace(1.85, 1.43, 16))

SETS: Sequence[RecordedSet] = (
    RecordedSet("esrel22", esrel22, GAS_EOL_PA, protocols=("condition",)),
    RecordedSet("phme20", phme20_runs, phme20.EOL_PA, protocols=("condition", "concentration")),
    RecordedSet("vdq", gas_filters, GAS_EOL_PA),
    RecordedSet("p2p", gas_filters, GAS_EOL_PA),
    RecordedSet("cmapss", cmapss, 48.2, PRESSURE_COMPRESSOR, protocols=("condition",)),
    RecordedSet("battery", battery, 1.4, CAPACITY_AH, smoothing=5),
)
