"""A history as a manufacturer would have recorded it, for tests: parts that wear under fumes, and are changed.

Drag rises with the cube of what a part has taken up and ends it at 200 Pa. Some parts are taken out early, one change
in six is told a week late, and none is followed by another within that week.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

GTIN = "9520000000035"
BEGAN = datetime(2024, 3, 1, tzinfo=UTC)
TOLD_LATE_D = 7
TOML = f"""
tenant = "hoods"
name = "Range Hoods"
[[channels]]
name = "grease_drag"
unit = "Pa"
low = 0
high = 1000
[[channels]]
name = "fume"
unit = "mg/m3"
[[models]]
gtin = "{GTIN}"
name = "Range hood"
[[models.slots]]
code = "grease"
name = "Grease filter"
predictor = "weibull"
life_h = 1000
life_d = 125
load_channel = "fume"
load_ref = 2
indicator_channel = "grease_drag"
indicator_eol = 200
"""


@dataclass(frozen=True)
class Recorded:
    """What was written: rows of units.csv, readings.csv and events.csv, each with its first line."""

    units: list[list[str]]
    readings: list[list[str]]
    events: list[list[str]]

    def write(self, folder: Path, toml: str = TOML) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "maker.toml").write_text(toml)
        for name in ("units", "readings", "events"):
            write(folder / f"{name}.csv", getattr(self, name))
        return folder


def write(path: Path, rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def recorded(units: int, days: int, *, seed: int = 1) -> Recorded:
    """Return the history of some units over some days, two lines for each day; parts last eleven days or so."""
    rng = np.random.default_rng(seed)
    said = Recorded(
        [["serial", "gtin", "born", "region", "hw_rev"]],
        [["serial", "time", "runtime", "fume", "grease_drag"]],
        [["serial", "time", "type", "slot", "arrived"]],
    )
    for number in range(1, units + 1):
        _unit(said, f"H{number}", rng, days)
    return said


def _unit(said: Recorded, serial: str, rng: np.random.Generator, days: int) -> None:
    began = BEGAN + timedelta(minutes=int(rng.integers(0, 600)))
    said.units.append([serial, GTIN, began.isoformat(), "DE" if rng.random() < 0.5 else "FR", ""])
    use, load = 18 * rng.uniform(0.8, 1.2), 10 * rng.lognormal(0, 0.1)
    ran, taken, life, changed, change_in = 0.0, 0.0, 0.0, 0, -1
    for day in range(1, days + 1):
        at = began + timedelta(days=day)
        if life == 0.0:
            life = 1000 * rng.lognormal(0, 0.15)
        fume = load * rng.uniform(0.9, 1.1)
        ran += use
        taken += use * fume / 2
        if (
            change_in < 0
            and day - changed > TOLD_LATE_D
            and (taken > life or (taken > 0.4 * life and rng.random() < 0.03))
        ):
            change_in = int(rng.integers(0, 3))
        drag = 200 * (taken / life) ** 3 + 5
        said.readings.append(_line(serial, at, ran, fume, drag))
        if change_in == 0:
            fitted = at + timedelta(hours=2)
            told = fitted + timedelta(days=TOLD_LATE_D if rng.random() < 1 / 6 else 0)
            if told < BEGAN + timedelta(days=days):
                said.events.append([serial, fitted.isoformat(), "part_fitted", "grease", told.isoformat()])
            taken, life, changed, drag = 0.0, 0.0, day, 5.0
        said.readings.append(_line(serial, at + timedelta(hours=6), ran, fume, drag))
        change_in -= change_in >= 0


def _line(serial: str, at: datetime, ran: float, fume: float, drag: float) -> list[str]:
    return [serial, at.isoformat(), f"{ran:.2f}", f"{fume:.3f}", f"{min(drag, 900):.2f}"]
