"""Read the filter-clogging runs of the PHM Europe 2020 challenge."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PA_PER_PSI = 6894.757293168
M3_H_PER_ML_MIN = 60e-6
EOL_PA = 20.0 * PA_PER_PSI
"""End of life of a run: upstream less downstream pressure above 20 psi for the first time."""

_COLUMNS = ("Time(s)", "Flow_Rate(ml/m)", "Upstream_Pressure(psi)", "Downstream_Pressure(psi)")
_PROFILES = ("sample", "Particle Size (micron)", "Solid Ratio(%)")


class UnreadableRun(ValueError):
    """A file of the set is not laid out as its readme says."""


@dataclass(frozen=True, slots=True)
class Run:
    """Hold one run from a clean filter to its end of life; what was recorded after the end is cut.

    time_s, flow_m3_h, pressure_drop_pa: (n,) in order of time, the last one the first sample past the end.
    solid_ratio: particles per liquid, in per cent, None where no profile names the run. eol_s is None where the
    recording ended before the filter did.
    """

    name: str
    part: str
    size: str
    particles_um: str
    solid_ratio: float | None
    time_s: Array
    flow_m3_h: Array
    pressure_drop_pa: Array
    eol_s: float | None

    @property
    def profile(self) -> str:
        """Name what was held constant over the run."""
        ratio = "unknown" if self.solid_ratio is None else f"{self.solid_ratio:g}%"
        return f"{self.particles_um or self.size} {ratio}"


def runs(path: Path, *, beyond_s: float = 0.0) -> Iterator[Run]:
    """Yield the runs of the train part of the set at `path`, then of its test part where there is one, by number.

    `path` may also be one part. `beyond_s` keeps so much of what was recorded after the end.
    Raises FileNotFoundError without any run, UnreadableRun where a file is laid out otherwise.
    """
    parts = [part for part in (path / "train", path / "test") if part.is_dir()] or [path]
    found = False
    for part in parts:
        profiles = _profiles(part)
        for file in sorted(part.glob("*/Sample*.csv"), key=lambda file: (_number(file), file.parent.name)):
            found = True
            particles, ratio = profiles.get(_number(file), ("", None))
            yield _run(file, part.name, particles, ratio, beyond_s)
    if not found:
        raise FileNotFoundError(f"no run (*/Sample*.csv) below {path}")


def _run(file: Path, part: str, particles: str, ratio: float | None, beyond_s: float) -> Run:
    time_s, flow, upstream, downstream = _table(file)
    drop_pa = (upstream - downstream) * PA_PER_PSI
    past = np.flatnonzero(drop_pa > EOL_PA)
    end = np.searchsorted(time_s, time_s[past[0]] + beyond_s, side="right") if past.size else None
    cut = slice(0, end)
    return Run(
        name=file.stem,
        part=part,
        size=file.parent.name,
        particles_um=particles,
        solid_ratio=ratio,
        time_s=time_s[cut],
        flow_m3_h=flow[cut] * M3_H_PER_ML_MIN,
        pressure_drop_pa=drop_pa[cut],
        eol_s=float(time_s[past[0]]) if past.size else None,
    )


def _table(file: Path) -> Array:
    """Return the four columns, (4, n), in order of time; rows that lack a number are left out."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines)
        header = [cell.strip() for cell in next(rows, [])]
        if any(column not in header for column in _COLUMNS):
            raise UnreadableRun(f"{file.name} needs the columns {', '.join(_COLUMNS)}; it has {', '.join(header)}")
        places = [header.index(column) for column in _COLUMNS]
        cells = [[_decimal(row[place]) for place in places] for row in rows if len(row) >= len(header)]
    table = np.array(cells, dtype=np.float64).reshape(-1, len(_COLUMNS))
    table = table[np.isfinite(table).all(axis=1)]
    if not table.size:
        raise UnreadableRun(f"{file.name} holds no samples")
    return np.asarray(table[np.argsort(table[:, 0], kind="stable")].T)


def _profiles(part: Path) -> dict[int, tuple[str, float | None]]:
    """Return particle size and solid ratio by sample number; the file has a BOM, semicolons and decimal commas."""
    profiles: dict[int, tuple[str, float | None]] = {}
    for file in sorted(part.glob("*Profiles*.csv")):
        with file.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines, delimiter=";")
            if any(column not in (table.fieldnames or ()) for column in _PROFILES):
                raise UnreadableRun(f"{file.name} needs the columns {'; '.join(_PROFILES)}")
            for row in table:
                number, particles, ratio = (row[column] or "" for column in _PROFILES)
                if number.strip().isdigit():
                    known = _decimal(ratio)
                    profiles[int(number)] = (particles.strip(), known if np.isfinite(known) else None)
    return profiles


def _decimal(cell: str) -> float:
    try:
        return float(cell.strip().replace(",", "."))
    except ValueError:
        return float("nan")


def _number(file: Path) -> int:
    digits = "".join(character for character in file.stem if character.isdigit())
    return int(digits) if digits else -1
