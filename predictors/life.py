"""Conjugate censored Weibull in exposure.

    theta ~ Gamma(a, b),  S(x | theta) = exp(-theta x^k)
    posterior: A = a + failures,  B = b + sum of x^k over every cycle, censored ones included
    S(x | x0) = ((B + x0^k) / (B + x^k))^A

Soland (1969), "Bayesian analysis of the Weibull process with unknown scale and shape parameters"; the shape k is set by
maximising its marginal posterior, theta integrated out (Meeker & Escobar 1998, ch. 14).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from predictors.batch import Array

PRIOR_FAILURES = 4.0
PRIOR_SHAPE = 4.0
PRIOR_SHAPE_SD = 0.35  # of log k: three in four filters' shapes lie within 2.7 to 6
SHAPE_RANGE = (1.05, 15.0)  # wear-out: above one, the hazard rises


@dataclass(frozen=True, slots=True)
class WeibullLife:
    """Hold a posterior over the life of a part; `rated` is the unit of exposure, A and B are pure numbers."""

    rated: float
    shape: float
    a: float
    b: float

    @classmethod
    def prior(cls, rated: float, failures: float = PRIOR_FAILURES, shape: float = PRIOR_SHAPE) -> "WeibullLife":
        """Return what is believed before any cycle: `failures` failures whose median life is the rated life."""
        return cls(rated, shape, failures, 1.0 / np.expm1(np.log(2.0) / failures))

    def learn(self, exposure: Array, censored: NDArray[np.bool_]) -> "WeibullLife":
        """Return the posterior after (m,) cycles that ended at `exposure`, failed or censored; NaN is skipped."""
        seen = np.isfinite(exposure) & (exposure > 0)
        # Sorted, so that the sum does not depend on the order of units.
        x = np.sort(exposure[seen]) / self.rated
        if x.size == 0:
            return self
        log_x = np.log(x)
        log_failures = np.sort(np.log(exposure[seen & ~censored] / self.rated))
        d, sum_log = log_failures.size, float(log_failures.sum())

        def loss(log_k: float) -> float:
            k = np.exp(log_k)
            posterior_b = self.b + np.exp(k * log_x).sum()
            fit = d * log_k + (k - 1.0) * sum_log - (self.a + d) * np.log(posterior_b)
            return float(0.5 * ((log_k - np.log(self.shape)) / PRIOR_SHAPE_SD) ** 2 - fit)

        log_k = float(minimize_scalar(loss, bounds=tuple(np.log(SHAPE_RANGE)), method="bounded").x)
        k = float(np.exp(log_k))
        return WeibullLife(self.rated, k, self.a + d, float(self.b + np.exp(k * log_x).sum()))

    def left(self, x0: Array, quantiles: tuple[float, ...]) -> Array:
        """Return the exposure left, (n, q), of parts that have survived exposure x0, (n,).

        Solving S(x | x0) = 1 - q with c = (1 - q)^(-1/A) gives x^k = c (B + x0^k) - B. A mixture of Weibulls looks
        younger the longer it outlives the fleet; the residual is least at x0^k = (c - 1) B / (c^(k/(k-1)) - c), and
        beyond that point it stays there: more wear never lengthens life.
        """
        k, b = self.shape, self.b
        c = (1.0 - np.asarray(quantiles)) ** (-1.0 / self.a)
        turn = (c - 1.0) * b / (c ** (k / (k - 1.0)) - c)
        with np.errstate(over="ignore"):
            u_k = np.minimum((np.maximum(x0, 0.0) / self.rated)[:, None] ** k, turn)
        # x - u computed through log1p/expm1: it keeps its digits where x is close to u.
        growth = (c - 1.0) * (b + u_k)
        u = u_k ** (1.0 / k)
        with np.errstate(divide="ignore", invalid="ignore"):
            close = u * np.expm1(np.log1p(growth / u_k) / k)
        far = (u_k + growth) ** (1.0 / k) - u
        return np.asarray(self.rated * np.where(growth < u_k, close, far))
