"""Why this date: the numbers behind a forecast, which others turn into words."""

import numpy as np

from predictors.batch import Array, SlotBatch
from predictors.future import Exposure, Use

DRIVERS = {
    "use_share": "share of the exposure so far that running hours at reference load explain, 0 to 1",
    "load_share": "share of the exposure so far that load above the reference added, 0 to 1",
    "load_ratio": "exposure per running hour so far; 1 = as rated, 1.3 = wears 30 % faster",
    "recent_use": "recent running hours per day over the average since fitting; 1 = unchanged",
    "recent_load": "recent exposure per running hour over the average since fitting; 1 = unchanged",
    "reported_pct": "the unit's own report of percent left",
    "report_weight": "weight that the unit's own report has in the forecast, 0 to 1",
    "silent_d": "days since the last word",
    "change_d": "days since a change of the unit's use was detected",
    "change_ratio": "level of use after that change over the level before it; 2 = twice as much",
    "cohort_use": "expected exposure per day over that of the product model; 1 = as usual",
    "wear_pace": "expected life of this part over that of the product model; below 1 = clogs faster",
}


def drivers(
    batch: SlotBatch,
    clock: Exposure,
    future: Use,
    cohort_per_day: float,
    *,
    report_weight: Array,
    wear_pace: Array,
) -> dict[str, Array]:
    """Return the arrays named in DRIVERS, each (n,); NaN where a driver does not apply."""
    nothing = np.full(len(batch), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        load_ratio = _finite(batch.load_h / batch.run_h)
        average_use = np.where(batch.age_d >= 1.0, batch.run_h / batch.age_d, np.nan)
        return {
            "use_share": _finite(np.minimum(1.0, 1.0 / load_ratio)),
            "load_share": _finite(np.maximum(0.0, 1.0 - 1.0 / load_ratio)),
            "load_ratio": load_ratio,
            "recent_use": _finite(batch.h_per_day / average_use),
            "recent_load": _finite(batch.load_per_h / load_ratio),
            "reported_pct": np.array(batch.left_pct),
            "report_weight": report_weight,
            "silent_d": np.array(batch.silent_d),
            "change_d": nothing if batch.change_d is None else np.array(batch.change_d),
            "change_ratio": nothing if batch.change_ratio is None else np.array(batch.change_ratio),
            "cohort_use": np.where(np.isfinite(clock.used), _finite(future.per_day / cohort_per_day), np.nan),
            "wear_pace": wear_pace,
        }


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.nan)
