"""Why this date: the numbers behind a forecast, which others turn into words."""

import numpy as np

from predictors.batch import Array, SlotBatch
from predictors.future import Exposure, Use

DRIVERS = {
    "use_share": "share of the exposure so far that running hours at reference load explain; above 1 = load spared it",
    "load_share": "share of the exposure so far that load above the reference added; below zero = it spared the part",
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
    "clock_ratio": "exposure so far by the fitted clock over what the load alone says; 1.3 = 30 % more wear",
}

CLOCK_SHARE = "clock_share {}"
"""Name of a declared covariate's share of the exposure so far; negative where it spared the part."""


def drivers(
    batch: SlotBatch,
    clock: Exposure,
    future: Use,
    cohort_per_day: float,
    *,
    report_weight: Array,
    wear_pace: Array,
) -> dict[str, Array]:
    """Return the arrays named in DRIVERS but for clock_ratio, each (n,); NaN where a driver does not apply."""
    nothing = np.full(len(batch), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        load_ratio = _finite(batch.load_h / batch.run_h)
        average_use = np.where(batch.age_d >= 1.0, batch.run_h / batch.age_d, np.nan)
        return {
            "use_share": _finite(1.0 / load_ratio),
            "load_share": _finite(1.0 - 1.0 / load_ratio),
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


def clock_drivers(names: tuple[str, ...], logs: Array | None, n: int) -> dict[str, Array]:
    """Return clock_ratio and, for each declared covariate, clock_share of that name, each (n,); NaN without a clock.

    logs: (n, C) what each covariate adds to the logarithm of the clock's ratio r, None where no clock is fitted. A
    share is of the exposure so far, 1 - 1/r in all, by covariate in proportion to its logarithm; negative = spared.
    """
    if logs is None:
        nothing = np.full(n, np.nan)
        return {"clock_ratio": nothing} | {CLOCK_SHARE.format(name): nothing for name in names}
    total = logs.sum(axis=1)
    per_log = np.where(np.abs(total) > 1e-9, -np.expm1(-total) / np.where(total == 0, 1.0, total), 1.0)
    shares = {CLOCK_SHARE.format(name): column * per_log for name, column in zip(names, logs.T, strict=True)}
    return {"clock_ratio": np.exp(total), **shares}


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.nan)
