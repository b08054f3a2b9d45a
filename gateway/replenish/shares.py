"""What brought a part's exposure so far: running time, the load above its reference, and each further covariate."""

from collections.abc import Mapping
from math import isfinite

from predictors.drivers import CLOCK_SHARE

RUNTIME = "runtime"
COVARIATE = CLOCK_SHARE.format("")


def shares(load_channel: str | None, drivers: Mapping[str, float | None]) -> dict[str, float]:
    """Return the share of the exposure by the channel that brought it, of 1 in all; empty where none is measured.

    drivers: by name, as predictors.drivers explains them; None or NaN where one does not apply. The fitted clock's
    share comes on top of what running time and load say, so theirs shrink by its ratio. Below zero = spared the part.
    """
    use, load, ratio = (_known(drivers.get(name)) for name in ("use_share", "load_share", "clock_ratio"))
    if use is None:
        return {}
    by_clock = ratio or 1.0
    found = {RUNTIME: use / by_clock}
    if load_channel and load is not None:
        found[load_channel] = load / by_clock
    for name, value in drivers.items():
        share = _known(value)
        if name.startswith(COVARIATE) and share is not None:
            channel = name.removeprefix(COVARIATE)
            found[channel] = found.get(channel, 0.0) + share
    return found


def _known(value: float | None) -> float | None:
    return float(value) if value is not None and isfinite(value) else None
