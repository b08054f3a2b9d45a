"""What makes a fleet quick changes no forecast."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from predictors import lognormal, treewalk
from predictors.artifact import DamagedArtifact
from predictors.batch import BLOCK, Array
from predictors.forest import Forest
from predictors.fused import Fused
from tests.benchmarks import wear_speed


def forest(rows: int = 600) -> tuple[Forest, NDArray[np.float32]]:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(rows, 5)).astype(np.float32)
    return Forest.grow(features, features @ np.arange(5.0) + rng.normal(size=rows), trees=7), features


def by_hand(grown: Forest, row: NDArray[np.float32]) -> float:
    """Return the mean over the trees, one node after the other."""
    total = 0.0
    for root in grown.roots:
        node = int(root)
        while grown.left[node] != node:
            goes_left = row[grown.feature[node]] <= grown.threshold[node]
            node = int(grown.left[node] if goes_left else grown.right[node])
        total += float(grown.value[node])
    return total / grown.roots.size


def test_the_compiled_walk_and_the_plain_one_come_to_the_same_leaves() -> None:
    """Both ways of walking give each row the very bits that one walks to by hand."""
    grown, features = forest()
    expected = np.array([by_hand(grown, row) for row in features])
    plain = sum(treewalk._plain(tree)(features) for tree in grown.nodes()) / grown.roots.size
    assert np.array_equal(expected, grown.predict(features))
    assert np.array_equal(expected, plain)


def test_another_release_of_the_trees_is_walked_by_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the compiled trees have another layout, the forest says the same, only later."""
    grown, features = forest()
    expected = grown.predict(features)
    monkeypatch.setattr(treewalk.compiled_trees, "NODE_DTYPE", np.dtype([("something_else", "f8")]))
    again = Forest.read(grown.written(), 5)
    assert np.array_equal(expected, again.predict(features))


def test_a_slot_is_forecast_alike_alone_and_in_a_fleet() -> None:
    """Neither the order of slots nor where a chunk of them ends changes a bit."""
    batch, history = wear_speed.fleet(BLOCK + 300, cycles=60)
    model = Fused(wear_speed.DECLARED).fit(history)
    assert model.learner is not None
    whole = model.forecast(batch).eol_d
    for some in (np.arange(len(batch)) % 977 == 0, np.arange(len(batch)) >= BLOCK - 2):
        assert np.array_equal(whole[some], model.forecast(batch.take(some)).eol_d)


@pytest.mark.parametrize("wrong", [-1, 0, 10_000])
def test_trees_that_lead_back_or_elsewhere_are_refused(wrong: int) -> None:
    """A walk that would never end, or leave its tree, is no artifact."""
    grown, _ = forest()
    written = grown.written()
    inner = int(np.flatnonzero(grown.left != np.arange(grown.left.size))[3])
    written["left"][inner] = wrong
    with pytest.raises(DamagedArtifact):
        Forest.read(written, 5)


def minimised(sigma: float, quantile: float) -> float:
    """Return where the residual of the standardised log-normal is least, by looking for it."""

    def log_residual(z0: Array) -> Array:
        z = lognormal._survivor(z0, quantile)
        return sigma * z0 + np.log(np.maximum(np.expm1(sigma * (z - z0)), 1e-300))

    grid = np.linspace(-8.0, 38.0, 461)
    least = int(np.argmin(log_residual(grid)))
    bounds = (float(grid[max(least - 1, 0)]), float(grid[min(least + 1, grid.size - 1)]))
    return float(minimize_scalar(log_residual, bounds=bounds, method="bounded", options={"xatol": 1e-9}).x)


@pytest.mark.parametrize("quantile", [0.001, 0.02, 0.1, 0.5, 0.9, 0.98, 0.999])
@pytest.mark.parametrize("sigma", [0.01, 0.026, 0.03, 0.1, 0.25, 0.6, 1.0, 4.0])
def test_the_turn_read_from_a_table_is_the_one_that_is_looked_for(sigma: float, quantile: float) -> None:
    """What is left at the turn, and beyond it, is the same to a millionth."""
    z0 = np.array([minimised(sigma, quantile)])
    expected = np.exp(sigma * z0) * np.expm1(sigma * (lognormal._survivor(z0, quantile) - z0))
    long_past = lognormal.left(np.exp(sigma * np.array([60.0])), np.zeros(1), sigma, (quantile,))[:, 0]
    assert expected == pytest.approx(long_past, rel=1e-6)
