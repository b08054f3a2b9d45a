"""Why a forecast says what it says: the reasons of each row, the weightiest first."""

import numpy as np

from gateway.notify.reasons import Reason, say
from gateway.replenish.features import Seen
from predictors.forecast import Forecasts

HEAVY, LIGHT = 1.2, 0.8  # load that is worth a word
QUIET_D = 3.0
SAID = 2  # reasons in the sentence


def reasons(seen: Seen, forecasts: Forecasts, i: int, *, measured: bool, learned: int) -> list[Reason]:
    """Return the reasons of row i; `learned` is how many finished cycles its model learned from."""
    slot, batch, drivers = seen.slot, seen.batch, forecasts.drivers
    found: list[Reason] = []
    if not measured:
        found += [Reason("no_radio" if seen.devices[i] is None else "unheard")]
        found += [Reason("age", float(batch.age_d[i]), slot.life_d)]
    reported = batch.left_pct[i]
    if np.isfinite(reported) and (not np.isfinite(batch.run_h[i]) or drivers["report_weight"][i] >= 0.3):
        found.append(Reason("reported", float(reported)))
    if measured and np.isfinite(batch.run_h[i]):
        hours = float(batch.run_h[i])
        found.append(Reason("used", hours, slot.life_h) if slot.life_h else Reason("hours", hours))
    since, change = float(drivers["change_d"][i]), float(drivers["change_ratio"][i])
    if measured and np.isfinite(since) and np.isfinite(change):
        found.append(Reason("busier" if change > 1 else "calmer", since, change))
    ratio = drivers["load_ratio"][i]
    if measured and np.isfinite(ratio) and not LIGHT < ratio < HEAVY:
        found.append(Reason("load" if ratio >= HEAVY else "eased", float(ratio)))
    if np.isfinite(batch.h_per_day[i]):
        found.append(Reason("pace", float(batch.h_per_day[i])))
    silent = batch.silent_d[i]
    if np.isfinite(silent) and silent >= QUIET_D:
        found.insert(0, Reason("silent", float(silent)))
    if learned:
        found.append(Reason("cohort", float(learned)))
    return found


def sentence(found: list[Reason]) -> str:
    """Return the first reasons as one English sentence or two."""
    return " ".join(say(reason, "en") for reason in found[:SAID])
