"""Why a forecast says what it says: the reasons of each row, the weightiest first."""

from collections.abc import Mapping

import numpy as np

from gateway.notify.reasons import Reason, say
from gateway.replenish.features import Seen
from gateway.replenish.shares import RUNTIME, shares
from gateway.replenish.versions import Version
from predictors.forecast import Forecasts

HEAVY, LIGHT = 1.2, 0.8  # load that is worth a word
SHARE = 0.15  # of the exposure that is worth a word
QUIET_D = 3.0
SAID = 2  # reasons in the sentence


def reasons(seen: Seen, forecasts: Forecasts, i: int, *, measured: bool) -> list[Reason]:
    """Return the reasons of row i that lie in its own part."""
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
    if measured:
        found += brought(slot.load_channel, {name: float(column[i]) for name, column in drivers.items()})
    silent = batch.silent_d[i]
    if np.isfinite(silent) and silent >= QUIET_D:
        found.insert(0, Reason("silent", float(silent)))
    return found


def learned(version: Version | None) -> list[Reason]:
    """Return how many parts that reached their end a forecast's model learned from, where it saw any.

    A version that did not count them yet says how many parts it learned from, those taken out early among them.
    """
    if version is None:
        return []
    code, count = ("parts", version.labels) if version.ends is None else ("cohort", version.ends)
    if count == 1 and code == "cohort":
        return [Reason("cohort_one")]
    return [Reason(code, float(count))] if count else []


def brought(load_channel: str | None, drivers: Mapping[str, float | None]) -> list[Reason]:
    """Return what else than running time brought the exposure, or spared the part, the largest share first.

    Of a load that spared more than all the wear so far, `eased` says how hard the part works: 900 % tell nobody much.
    """
    found = []
    for channel, share in sorted(shares(load_channel, drivers).items(), key=lambda each: -abs(each[1])):
        if channel == RUNTIME or abs(share) < SHARE or (channel == load_channel and share < -1):
            continue
        codes = ("share_load", "share_eased") if channel == load_channel else ("share_more", "share_less")
        found.append(Reason(codes[share < 0], abs(100.0 * share), channel=channel))
    return found


def sentence(found: list[Reason]) -> str:
    """Return the first reasons as one English sentence or two."""
    return " ".join(say(reason, "en") for reason in found[:SAID])
