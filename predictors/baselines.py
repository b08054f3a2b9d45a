"""What one would take without a wear model, as scikit-learn estimators to compare with.

X as for HitRegressor: exposure survived (hours, for the timer), then the exposure at which each level was crossed, NaN
not yet; y the exposure at the end of life. Intervals are conformal (Vovk et al. 2005) on units left out of the fit.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.utils.validation import check_is_fitted

from predictors import lognormal, path
from predictors.batch import Array
from predictors.estimators import checked_ends, checked_table, survived
from predictors.forecast import ascending
from predictors.indicator import READS
from predictors.rated import LOG_SD

FOLDS = 5
STEP = 0.025  # of the fleet's median life, from look to look
MOST_STEPS = 200


class TimerRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Count down from the median life, whatever the load and whatever the indicator; column 0 of X is all it reads."""

    def fit(
        self,
        X: ArrayLike,  # noqa: N803  # scikit-learn's name
        y: ArrayLike,
        *,
        censored: ArrayLike | None = None,
        groups: ArrayLike | None = None,  # noqa: ARG002  # the signature all our estimators share
    ) -> Self:
        """Learn the median of the ends y (n,) > 0; the ends of units that still ran are lives they at least had."""
        _, ends, unfinished = checked_ends(self, X, y, censored, allow_nan=True)
        failed = ends[~unfinished]
        self.life_ = float(np.median(failed) if failed.size else ends.max())
        self.log_sd_ = float(np.std(np.log(failed))) if failed.size > 2 else LOG_SD
        return self

    def predict_quantiles(self, X: ArrayLike, quantiles: Sequence[float]) -> Array:  # noqa: N803  # scikit-learn's name
        """Return exposure at the end of life, (n, q), not below the exposure survived."""
        check_is_fitted(self)
        now = survived(checked_table(self, X))
        where = np.full(now.shape, np.log(self.life_))
        return now[:, None] + lognormal.left(now, where, max(self.log_sd_, 0.01), ascending(quantiles))

    def predict(self, X: ArrayLike) -> Array:  # noqa: N803  # scikit-learn's name
        """Return the median exposure at the end of life, (n,)."""
        median: Array = self.predict_quantiles(X, (0.5,))[:, 0]
        return median

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.allow_nan = True
        tags.target_tags.positive_only = True
        tags.regressor_tags.poor_score = True
        return tags


class _Calibrated(TimerRegressor):
    """A guess of the end at steps of a part's way, and a conformal spread of its log error by levels crossed."""

    def fit(
        self,
        X: ArrayLike,  # noqa: N803  # scikit-learn's name
        y: ArrayLike,
        *,
        censored: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Learn from the units that ended; groups (n,) are what the intervals must carry over to."""
        super().fit(X, y, censored=censored)
        table, ends, unfinished = checked_ends(self, X, y, censored, allow_nan=True)
        rows = np.flatnonzero(~unfinished)
        hits = np.where(table[rows, 1:] <= ends[rows][:, None], table[rows, 1:], np.nan)
        seen = _seen(ends[rows], hits, self.life_)
        self.model_, self.spread_ = None, np.full(hits.shape[1] + 1, max(self.log_sd_, 0.01))
        if not hits.shape[1] or np.unique(seen.unit).size < FOLDS:
            return self  # without a level there is nothing to guess from but the timer
        target = np.log(ends[rows][seen.unit])
        names = np.arange(rows.size) if groups is None else np.unique(np.asarray(groups)[rows], return_inverse=True)[1]
        fold = (names % FOLDS)[seen.unit]
        if np.unique(fold).size < 2:
            fold = seen.unit % FOLDS  # one group alone cannot be left out
        guess = np.empty(seen.at.size)
        for out in np.unique(fold):
            others = fold != out
            model = self._learn(seen.at[others], seen.hits[others], target[others])
            guess[~others] = self._guess(model, seen.at[~others], seen.hits[~others])
        errors, stages = np.abs(guess - target), np.isfinite(seen.hits).sum(axis=1)
        for stage in range(self.spread_.size):
            near = np.argsort(np.abs(stages - stage), kind="stable")[: max(40, int((stages == stage).sum()))]
            self.spread_[stage] = max(float(np.quantile(errors[near], 0.8, method="higher")) / ndtri(0.9), 0.005)
        self.model_ = self._learn(seen.at, seen.hits, target)
        return self

    def predict_quantiles(self, X: ArrayLike, quantiles: Sequence[float]) -> Array:  # noqa: N803  # scikit-learn's name
        """Return exposure at the end of life, (n, q), not below the exposure survived."""
        ends = super().predict_quantiles(X, quantiles)
        table = checked_table(self, X)
        now = survived(table)
        with np.errstate(invalid="ignore"):
            hits = np.where((table[:, 1:] > 0) & (table[:, 1:] <= now[:, None]), table[:, 1:], np.nan)
        stages = np.isfinite(hits).sum(axis=1)
        guess = np.full(now.size, np.nan)
        asked = np.flatnonzero(stages > 0) if self.model_ is not None else np.empty(0, dtype=np.int64)
        if asked.size:
            guess[asked] = self._guess(self.model_, now[asked], hits[asked])
        for stage in np.unique(stages[np.isfinite(guess)]):
            some = np.flatnonzero((stages == stage) & np.isfinite(guess))
            left = lognormal.left(now[some], guess[some], float(self.spread_[stage]), ascending(quantiles))
            ends[some] = now[some][:, None] + left
        return ends

    def _learn(self, at: Array, hits: Array, target: Array) -> Any:
        raise NotImplementedError

    def _guess(self, model: Any, at: Array, hits: Array) -> Array:
        raise NotImplementedError


class LinearExtrapolation(_Calibrated):
    """Go on from the last level crossed at the pace of the last RECENT of the levels crossed.

    levels: (L,) the indicator at each level over its value at the end, ascending; None = even steps.
    """

    RECENT = 4

    def __init__(self, levels: Sequence[float] | None = None) -> None:
        self.levels = levels

    def _learn(self, at: Array, hits: Array, target: Array) -> Any:  # noqa: ARG002  # it learns nothing but its errors
        return hits.shape[1]

    def _guess(self, model: Any, at: Array, hits: Array) -> Array:
        way = np.arange(1, model + 1) / (model + 1.0) if self.levels is None else np.asarray(self.levels)
        height = self._height(np.append(way, 1.0))
        rows = np.arange(at.size)
        # Levels skipped at the start are taken as crossed with the first one.
        last = np.where(np.isfinite(hits), np.arange(model), -1).max(axis=1)
        filled = np.where(np.isfinite(hits), hits, at[:, None])
        first = np.maximum(last - self.RECENT, 0)
        rise = np.where(last > first, height[last] - height[first], height[last])
        run = np.where(last > first, filled[rows, last] - filled[rows, first], filled[rows, last])
        # Waiting for the next level slows the pace: it is taken up to now.
        run = np.maximum(run + (at - filled[rows, last]) * 0.5, 1e-6 * at)
        ends = filled[rows, last] + (height[-1] - height[last]) * run / np.maximum(rise, 1e-9)
        return np.asarray(np.log(np.clip(ends, at, 20.0 * self.life_)))

    @staticmethod
    def _height(shares: Array) -> Array:
        return shares


class ExponentialExtrapolation(LinearExtrapolation):
    """Go on from the last level crossed along an exponential through the levels crossed before."""

    @staticmethod
    def _height(shares: Array) -> Array:
        return np.asarray(np.log(shares / shares[0] * 2.0))


class RandomForestBaseline(_Calibrated):
    """A random forest on exposure and hits, as the published works on these sets use it."""

    def _learn(self, at: Array, hits: Array, target: Array) -> Any:
        model = RandomForestRegressor(100, min_samples_leaf=5, max_features=0.5, random_state=0)
        return model.fit(_columns(at, hits), target - np.log(at))

    def _guess(self, model: Any, at: Array, hits: Array) -> Array:
        return np.asarray(model.predict(_columns(at, hits)) + np.log(at))


class GradientBoostingBaseline(_Calibrated):
    """Gradient boosting on exposure and hits."""

    def _learn(self, at: Array, hits: Array, target: Array) -> Any:
        drawn = 0.5 if at.size > 1 else 1.0  # scikit-learn draws half of one row, and averages what it left out
        model = GradientBoostingRegressor(
            n_estimators=150, learning_rate=0.06, max_depth=3, subsample=drawn, max_features=0.5, random_state=0
        )
        return model.fit(_columns(at, hits), target - np.log(at))

    def _guess(self, model: Any, at: Array, hits: Array) -> Array:
        return np.asarray(model.predict(_columns(at, hits)) + np.log(at))


def _seen(ends: Array, hits: Array, scale: float) -> path.Looked:
    """Return steps of STEP of the median life on the way of every part: these models read levels, and no looks."""
    step = STEP * scale
    looks = np.zeros((ends.size, min(int(ends.max(initial=0.0) / step), MOST_STEPS), 1 + READS))
    looks[:, :, 0] = step * np.arange(1, looks.shape[1] + 1)
    return path.looked(ends, hits, looks, scale)


def _columns(at: Array, hits: Array) -> Array:
    filled = np.where(np.isfinite(hits), hits, at[:, None])
    return np.column_stack([at, np.isfinite(hits).sum(axis=1), filled, filled / at[:, None]])
