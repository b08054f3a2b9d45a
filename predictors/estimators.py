"""The models as scikit-learn estimators: exposure at the end of life from what is known now."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from predictors import path
from predictors.batch import LEAST, Array
from predictors.crossing import LevelCrossing
from predictors.forecast import ascending
from predictors.history import History
from predictors.learner import Learner
from predictors.life import PRIOR_FAILURES, PRIOR_SHAPE, WeibullLife
from predictors.reckoning import Without


class WeibullRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Predict the exposure at the end of life from the exposure survived, column 0 of X.

    rated: exposure of the prior's median life; None takes the median of the ends seen.
    prior_failures, prior_shape: what the prior is worth, and where its shape lies.
    """

    def __init__(
        self,
        rated: float | None = None,
        prior_failures: float = PRIOR_FAILURES,
        prior_shape: float = PRIOR_SHAPE,
    ) -> None:
        self.rated = rated
        self.prior_failures = prior_failures
        self.prior_shape = prior_shape

    def fit(
        self,
        X: ArrayLike,  # noqa: N803  # scikit-learn's name
        y: ArrayLike,
        *,
        censored: ArrayLike | None = None,
        groups: ArrayLike | None = None,  # noqa: ARG002  # the signature all our estimators share
    ) -> Self:
        """Learn from ends y (n,) > 0, failures or censored; of X (n, p) only the width is learned."""
        _, ends, unfinished = checked_ends(self, X, y, censored)
        failed = ends[~unfinished]
        rated = self.rated or float(np.median(failed) if failed.size else ends.max())
        self.life_ = WeibullLife.prior(rated, self.prior_failures, self.prior_shape).learn(ends, unfinished)
        return self

    def predict_quantiles(self, X: ArrayLike, quantiles: Sequence[float]) -> Array:  # noqa: N803  # scikit-learn's name
        """Return exposure at the end of life, (n, q)."""
        check_is_fitted(self)
        now = survived(np.asarray(validate_data(self, X, reset=False), dtype=np.float64))
        return now[:, None] + self.life_.left(now, ascending(quantiles))

    def predict(self, X: ArrayLike) -> Array:  # noqa: N803  # scikit-learn's name
        """Return the median exposure at the end of life, (n,)."""
        median: Array = self.predict_quantiles(X, (0.5,))[:, 0]
        return median

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.target_tags.positive_only = True
        tags.regressor_tags.poor_score = True  # it looks at one column, and only to condition on survival
        return tags


class HitRegressor(WeibullRegressor):
    """Predict the exposure at the end of life from exposure survived, column 0, and hits, the other columns of X.

    A hit is the exposure at which a level was crossed, NaN not yet. The Weibull answers where none is crossed, and
    until enough units have ended for the levels to be learned.
    """

    def fit(
        self,
        X: ArrayLike,  # noqa: N803  # scikit-learn's name
        y: ArrayLike,
        *,
        censored: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        without: Without | None = None,
    ) -> Self:
        """Learn from ends y (n,) > 0 and hits; groups (n,) are what the intervals must carry over to.

        without: the units as they count where some taught nothing, for a fitted clock (predictors.reckoning).
        """
        table, ends, unfinished = checked_ends(self, X, y, censored, allow_nan=True)
        failed = ends[~unfinished]
        rated = self.rated or float(np.median(failed) if failed.size else ends.max())
        self.life_ = WeibullLife.prior(rated, self.prior_failures, self.prior_shape).learn(ends, unfinished)
        hits = table[:, 1 : self._count(table) + 1]
        history = History.of(ends, unfinished, groups=groups, hits=hits)
        self.crossing_ = LevelCrossing.learn(history, without=without) if hits.shape[1] else None
        return self

    def predict_quantiles(self, X: ArrayLike, quantiles: Sequence[float]) -> Array:  # noqa: N803  # scikit-learn's name
        """Return exposure at the end of life, (n, q), not below the exposure survived."""
        check_is_fitted(self)
        table = checked_table(self, X)
        now, asked = survived(table), ascending(quantiles)
        hits = table[:, 1 : self._count(table) + 1]
        left = self.life_.left(now, asked)
        if self.crossing_ is not None:
            known = np.isfinite(path.known(hits, now)).any(axis=1)
            left[known] = self.crossing_.left(now[known], hits[known], asked)[0]
        ends: Array = now[:, None] + left
        return ends

    def _count(self, table: Array) -> int:
        """Return how many columns of X are hits."""
        return int(table.shape[1]) - 1

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class FusedRegressor(HitRegressor):
    """Predict from levels and trees together; X as for HitRegressor, with what the indicator read last after the hits.

    levels: (L,) the levels as shares of the indicator's way; None = every column of X but the first is a hit, the
    levels are even steps, and nothing was read. Reads are five columns (predictors.indicator.reads), NaN unknown.
    """

    def __init__(
        self,
        rated: float | None = None,
        prior_failures: float = PRIOR_FAILURES,
        prior_shape: float = PRIOR_SHAPE,
        levels: Sequence[float] | None = None,
    ) -> None:
        super().__init__(rated, prior_failures, prior_shape)
        self.levels = levels

    def fit(
        self,
        X: ArrayLike,  # noqa: N803  # scikit-learn's name
        y: ArrayLike,
        *,
        censored: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        without: Without | None = None,
        looks: Sequence[Array] | None = None,
    ) -> Self:
        """Learn from ends y (n,) > 0 and hits; groups (n,) are what the intervals must carry over to.

        looks: what each unit's indicator read on the way, (k, 5) each (predictors.indicator.looks); None = no trees.
        """
        super().fit(X, y, censored=censored, groups=groups, without=without)
        self.learner_ = None
        if self.crossing_ is not None and looks is not None:
            table, ends, unfinished = checked_ends(self, X, y, censored, allow_nan=True)
            count = self._count(table)
            shares = np.arange(1, count + 1) / (count + 1) if self.levels is None else np.asarray(self.levels)
            history = History.of(ends, unfinished, groups=groups, hits=table[:, 1 : count + 1], looks=looks)
            self.learner_ = Learner.learn(history, np.diff(shares, prepend=0.0), self.crossing_.prior, without=without)
        return self

    def predict_quantiles(
        self,
        X: ArrayLike,  # noqa: N803  # scikit-learn's name
        quantiles: Sequence[float],
        *,
        novel: ArrayLike | None = None,
    ) -> Array:
        """Return exposure at the end of life, (n, q); novel: (n,) True for units of a group never seen."""
        ends = super().predict_quantiles(X, quantiles)
        if self.crossing_ is None or self.learner_ is None:
            return ends
        table = checked_table(self, X)
        now, count = survived(table), self._count(table)
        reads = table[:, count + 1 :]
        rows = np.flatnonzero(path.told(reads, now))
        new = np.zeros(now.size, dtype=bool) if novel is None else np.asarray(novel, dtype=bool)
        left, _, _ = self.learner_.left(
            self.crossing_, now[rows], table[rows, 1 : count + 1], reads[rows], ascending(quantiles), novel=new[rows]
        )
        ends[rows] = now[rows, None] + left
        return ends

    def _count(self, table: Array) -> int:
        return int(table.shape[1]) - 1 if self.levels is None else len(self.levels)


def checked_table(estimator: BaseEstimator, table: ArrayLike) -> Array:
    """Return X, (n, p), of a fitted estimator as an array; NaN is allowed."""
    return np.asarray(validate_data(estimator, table, reset=False, ensure_all_finite="allow-nan"), dtype=np.float64)


def survived(table: Array) -> Array:
    """Return the exposure survived, (n,), column 0 of X; what nobody told, or what is no exposure yet, is none."""
    now = np.nan_to_num(table[:, 0])
    return np.where(now < LEAST, 0.0, now)


def checked_ends(
    estimator: BaseEstimator, table: ArrayLike, y: ArrayLike, censored: ArrayLike | None, *, allow_nan: bool = False
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Return X, y and censored as arrays that fit each other; raise ValueError where they do not."""
    finite: bool | str = "allow-nan" if allow_nan else True
    table, y = validate_data(estimator, table, y, y_numeric=True, ensure_all_finite=finite)
    if (np.asarray(table) < 0).any():
        raise ValueError(f"Negative values in data passed to {type(estimator).__name__}: exposure only grows from zero")
    ends = np.asarray(y, dtype=np.float64)
    if not (ends > 0).all():
        raise ValueError("exposure at the end of life must be above zero")
    unfinished = np.zeros(ends.shape, dtype=bool) if censored is None else np.asarray(censored, dtype=bool)
    if unfinished.shape != ends.shape:
        raise ValueError(f"censored has shape {unfinished.shape}, y has {ends.shape}")
    return np.asarray(table, dtype=np.float64), ends, unfinished
