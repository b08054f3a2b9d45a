"""The pressure drop at another flow: what an indicator would read at the flow at which its end of life is declared.

    y = dp (Q_ref / Q)^n        n = 1 through a dense filter (Darcy) to 2 through an orifice (Bernoulli)

A fan that turns slower reads less, and that is no clean part.
"""

import numpy as np

from predictors.batch import Array

EXPONENT = 1.6  # of a pleated filter behind its grille, between the two laws
LEAST_FLOW = 0.2  # share of the reference flow below which a sensor reads its own error


def normalised(indicator: Array, flow: Array, reference: float, exponent: float = EXPONENT) -> Array:
    """Return the indicator as at `reference` flow, in its own unit; NaN where the flow is unknown or nearly none.

    indicator, flow: (..., ) of one shape; flow and reference in one unit. Raises ValueError unless reference and
    exponent are above zero.
    """
    if not (np.isfinite(reference) and reference > 0 and np.isfinite(exponent) and exponent > 0):
        raise ValueError(f"a reference flow and an exponent are above zero, not {reference!r} and {exponent!r}")
    share = np.asarray(flow, dtype=np.float64) / reference
    known = np.isfinite(share) & (share >= LEAST_FLOW)
    scale = np.where(known, share, 1.0) ** -exponent
    return np.asarray(np.where(known, np.asarray(indicator, dtype=np.float64) * scale, np.nan))
