"""Replacements on filters that nobody here made: recorded ones, and those of simulated households."""

import numpy as np
import pytest

from firmware_stubs import wire
from firmware_stubs.consumable import CLEAN_PA
from firmware_stubs.unit import Unit
from predictors import replacement
from predictors.batch import Array
from predictors.replacement import Verdict, Window
from tests.benchmarks import replacement as benchmark
from tests.conftest import DATA

WIDTH = 336
DAYS = 240
BORN = 1_700_000_000.0


@pytest.mark.parametrize("name", ["phme20", "esrel22"])
def test_recorded_filters_are_told_apart(name: str) -> None:
    """No quiet window of a clogging filter says anything, and each planted replacement is found."""
    if not (DATA / name).is_dir():
        pytest.skip(f"../shared/data/{name} is absent")
    found = benchmark.measure(name, DATA / name)
    assert {"nothing"} == found.quiet.keys()
    assert {"replaced"} == found.planted.keys()
    assert {"none"} == found.faults.keys()


def lived(seed: int) -> tuple[Array, list[int]]:
    """Log pressure drop of a household hour by hour over eight months, and the hours of its new filters."""
    unit = Unit(f"a.{seed}", born=BORN, seed=seed, journal_cap=10**6)
    fitted = []
    for day in range(1, DAYS):
        unit.advance(BORN + day * 86_400)
        if unit.wear("hepa") >= 1.0:
            unit.fit_part("hepa", None)
            fitted.append(day * 24)
    said = []
    while (batch := unit.outgoing(limit=5_000, window=10**6)) is not None:
        said += [sample.values.get("pressure_drop", np.nan) for sample in wire.samples(batch)]
    return np.log(np.array(said, dtype=np.float64)), fitted


def test_simulated_households_are_asked_when_they_changed_it_and_only_then() -> None:
    """Eight months of three homes, every third day: nothing while one filter clogs, found once it was changed."""
    counted = 0
    for seed in range(3):
        y, fitted = lived(seed)
        ends = np.arange(WIDTH, y.size, 72)
        windows = np.stack([y[end - WIDTH : end] for end in ends])
        n, nobody = len(ends), np.full(len(ends), -1)
        fresh, sd = np.full(n, np.log(CLEAN_PA)), np.full(n, 0.1)
        kinds = replacement.judge(Window(windows, np.full(windows.shape, np.nan), fresh, sd, nobody, nobody)).kind
        for end, kind in zip(ends, kinds, strict=True):
            inside = [at for at in fitted if end - WIDTH < at < end]
            if not inside:
                assert Verdict.NOTHING == kind
            elif 60 < end - inside[-1] < WIDTH - 24:
                assert Verdict.REPLACED == kind
                counted += 1
    assert counted > 10
