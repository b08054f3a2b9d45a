"""Two forecasts of one part of which nobody knows which holds: a mixture, as wide as the doubt.

    F(x) = (1 - p) F_0(x) + p F_1(x)

Each distribution is known by its quantiles, q_1 < ... < q_m; the share of probability about each goes to its value.
"""

import numpy as np

from predictors.batch import Array

GRID = tuple(round(float(q), 3) for q in np.linspace(0.02, 0.98, 25))
"""Quantiles at which two forecasts are asked for before they are mixed."""

LEAST = 0.2
"""No doubt is so small that the other possibility leaves the 80 % interval, until somebody has answered."""


def mixed(quantiles: tuple[float, ...], first: Array, second: Array, p: Array, *, least: float = LEAST) -> Array:
    """Return quantiles (n, q) of the mixture of `first` and `second`, (n, q) each; p (n,) is the weight of the second.

    Monotone over the quantiles, and within the range of the two; p is held within `least` and 1 - `least`.
    """
    q = np.asarray(quantiles)
    edges = np.concatenate([[0.0], (q[1:] + q[:-1]) / 2.0, [1.0]])
    share = np.diff(edges)
    weight = np.clip(p, least, 1.0 - least)[:, None]
    values = np.concatenate([first, second], axis=1)
    masses = np.concatenate([(1.0 - weight) * share, weight * share], axis=1)
    order = np.argsort(values, axis=1, kind="stable")
    values, masses = (np.take_along_axis(part, order, axis=1) for part in (values, masses))
    total = np.cumsum(masses, axis=1) - masses / 2.0
    rows = [np.interp(q, total[i], values[i]) for i in range(values.shape[0])]
    return np.array(rows, dtype=np.float64).reshape(first.shape)
