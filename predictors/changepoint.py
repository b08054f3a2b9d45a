"""When did an indicator change its level, and to what? A Bayesian change-point, many parts at a time.

    y = log(indicator + c), gaps left out;  before tau: level a,  after: level b;  omega^2: the part's own noise
    before  = mean of the K looks up to tau     ~ N(a, s0^2),  s0^2 = omega^2 / n0
    after   = mean of the K looks from tau on   ~ N(b, s1^2),  s1^2 = omega^2 / n1,  s^2 = s0^2 + s1^2

    nothing : b = a, or a little above it: wear only adds         after ~ N2(before, s, s + drift)
    replaced: b ~ N(f, v), what a fresh part reads                after ~ N(f, v + s1^2)
    cleaned : b = a - u (a - f), u one of CLEANED, equally likely after ~ mixture over u
    jumped  : b anywhere: a sensor moved or was exchanged         after ~ N(before, JUMP^2 + s^2)

The Bayes factor of a cause against nothing is the mean over every tau in the window, equally likely beforehand.
A level needs LEAST looks. Until a new one has them every tau mixes old looks into it, and a new part reads like one
that was cleaned: where a later moment than may be judged divides the looks best, the change is too new to be judged.
omega^2 is what a mean of neighbouring looks varies by, times their number: more than one look's variance where looks
resemble their neighbours, as through a day of one household (batch means; Law & Kelton 2000, ch. 9).
Barry & Hartigan (1993), "A Bayesian analysis for change point problems"; Kass & Raftery (1995), "Bayes factors".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from predictors.batch import Array

SEGMENT = 24  # looks on each side that a level is taken from
LEAST = 6  # looks that a level needs
ALIKE = 2.0  # by so much, at least, the variance of a mean exceeds that of independent looks
BATCH = 12  # looks whose mean is compared with the next ones'
BATCHES = 4  # steps between such means, from which on their spread is believed
CAUTION = 1.5  # on a spread that so few means tell
NOISE_FLOOR = 0.01  # of the log indicator: no sensor is better than one per cent
DRIFT = 0.25  # log growth by wear that one segment may see at the knee
JUMP = 1.0  # log spread of where a sensor that was exchanged reads
CLEANED = (0.2, 0.35, 0.5, 0.65, 0.8)  # shares of its clogging that a part loses when it is rinsed or shaken out
FLOOR = 0.1  # c as a share of the indicator at the end of life; of .05 and .1, chosen on four sets of real filters
NEAR = 24  # columns within which two signals tell of one moment
CAUSES = ("nothing", "cleaned", "replaced", "jumped")

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Hold what the indicators of n parts say.

    factors: (n, 4) log Bayes factors of CAUSES against the first; zero where too little was seen.
    at: (n,) column of the first look after the change; -1 where too little was seen.
    before, after: (n,) log level on each side of it; noise: (n,) omega, as if looks were independent.
    seen: (n,) True where there are looks enough on both sides of some moment.
    new: (n,) True where the likeliest moment has fewer than LEAST looks after it: which cause, the next ones will say.
    """

    factors: Array
    at: Places
    before: Array
    after: Array
    noise: Array
    seen: NDArray[np.bool_]
    new: NDArray[np.bool_]


def log_scale(indicator: Array, *, floor: float = 0.0, falling: bool = False) -> Array:
    """Return log(indicator + floor), turned round where the indicator falls with wear, so that wear raises it.

    floor: what is nothing beside the end of life, in the indicator's unit: a new part's pressure drop may be as small
    as the sensor's own error, whose logarithm means nothing. What is not above zero with it is no look.
    """
    values = np.asarray(indicator, dtype=np.float64) + floor
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(values > 0, np.log(values), np.nan)
    logs[~np.isfinite(logs)] = np.nan
    return np.asarray(-logs if falling else logs)


def evidence(y: Array, fresh: Array, fresh_sd: Array, around: Places | None = None) -> Evidence:
    """Weigh the causes of a change of level in y (n, T), log indicators in order of time, NaN where nobody looked.

    fresh, fresh_sd: (n,) log level of a fresh part and its spread over the fleet; NaN where nothing is known of it, and
    then neither a new part nor a cleaned one can be told from anything else. around: (n,) column near which (NEAR) the
    change was if there was one, -1 anywhere; None = all anywhere.
    """
    n, width = y.shape
    packed, places, count = pack(y)
    noise = spread(packed, count)
    level = calm(packed)
    if width < 2 * LEAST:
        unknown = np.full(n, np.nan)
        nowhere = np.zeros(n, dtype=bool)
        return Evidence(np.zeros((n, 4)), np.full(n, -1), unknown, unknown, noise, nowhere, nowhere)
    tau = np.arange(LEAST, width)
    n0 = np.minimum(tau, SEGMENT)[None, :]
    n1 = np.minimum(count[:, None] - tau, SEGMENT)
    there = (n1 >= 1) & np.isfinite(fresh)[:, None]
    if around is not None:
        apart = np.abs(places[:, tau] - around[:, None])
        there &= (around < 0)[:, None] | (apart <= NEAR)
    valid = there & (n1 >= LEAST)
    n1 = np.maximum(n1, 1)
    sums = np.concatenate([np.zeros((n, 1)), np.cumsum(np.nan_to_num(level), axis=1)], axis=1)
    before = (sums[:, tau] - sums[:, tau - n0[0]]) / n0
    after = (np.take_along_axis(sums, np.minimum(tau + n1, width), axis=1) - sums[:, tau]) / n1
    factors = _factors(before, after, (n0, n1), noise, (fresh, fresh_sd))
    factors = np.where(valid, factors, -np.inf)
    chances = np.maximum(valid.sum(axis=1), 1)
    seen = np.asarray(valid.any(axis=1))
    total = np.where(seen, logsumexp(factors, axis=2) - np.log(chances), 0.0).T
    drop = (before - after) / (noise[:, None] * np.sqrt(1.0 / n0 + 1.0 / n1))
    best = np.argmax(np.where(valid, np.abs(drop), -np.inf), axis=1)
    row = np.arange(n)
    new = seen & ~valid[row, np.argmax(np.where(there, np.abs(drop), -np.inf), axis=1)]
    at = np.where(seen, places[row, tau[best]], -1)
    was, became = (np.where(seen, side[row, best], np.nan) for side in (before, after))
    return Evidence(total, at, was, became, noise, seen, new)


def pack(y: Array) -> tuple[Array, Places, Places]:
    """Return y with its gaps moved to the end, (n, T), the column that each value came from, and how many there are."""
    gap = ~np.isfinite(y)
    places = np.argsort(gap, axis=1, kind="stable")
    return np.take_along_axis(y, places, axis=1), places, (~gap).sum(axis=1)


def spread(packed: Array, count: Places) -> Array:
    """Return omega, (n,): the standard deviation of one look, as if looks were independent.

    The median absolute step between neighbours is 0.954 standard deviations of Gaussian noise; one change of level does
    not move it. The same of means of BATCH looks, less the steps that wear makes, where there are enough of them.
    """
    one = np.sqrt(ALIKE) * np.maximum(np.nan_to_num(_middle(np.abs(np.diff(packed, axis=1)))) / 0.954, NOISE_FLOOR)
    batches = packed.shape[1] // BATCH
    if batches <= BATCHES:
        return np.asarray(one)
    means = packed[:, : batches * BATCH].reshape(-1, batches, BATCH).mean(axis=2)
    steps = np.diff(means, axis=1)
    apart = _middle(np.abs(steps - _middle(steps)[:, None])) / 0.954
    believed = count // BATCH > BATCHES
    return np.asarray(np.where(believed, np.maximum(one, CAUTION * np.sqrt(BATCH) * np.nan_to_num(apart)), one))


def _middle(values: Array) -> Array:
    """Return each row's median, NaN left out; NaN where nothing is left."""
    ordered = np.sort(values, axis=1)
    count = np.isfinite(ordered).sum(axis=1)
    if not ordered.shape[1]:
        return np.full(values.shape[0], np.nan)
    rows, low, high = np.arange(values.shape[0]), np.maximum(count - 1, 0) // 2, np.maximum(count, 1) // 2
    return np.asarray((ordered[rows, low] + ordered[rows, np.minimum(high, ordered.shape[1] - 1)]) / 2.0)


def calm(packed: Array) -> Array:
    """Return the median of each value and its two neighbours, so that one bad look is none; the ends as they are."""
    if packed.shape[1] < 3:
        return packed
    inner = np.stack([packed[:, :-2], packed[:, 1:-1], packed[:, 2:]])
    out = packed.copy()
    out[:, 1:-1] = np.where(np.isfinite(inner[2]), np.sort(inner, axis=0)[1], packed[:, 1:-1])
    return out


def _factors(before: Array, after: Array, looks: tuple[Array, Array], noise: Array, new: tuple[Array, Array]) -> Array:
    """Return the log Bayes factors of CAUSES at each moment, (4, n, moments)."""
    n0, n1 = looks
    fresh, fresh_var = new[0][:, None], new[1][:, None] ** 2
    each = noise[:, None] ** 2
    s0, s1 = each / n0, each / n1
    step = after - before
    down, up = np.sqrt(s0 + s1), np.sqrt(s0 + s1 + DRIFT**2)
    side = np.where(step > 0, up, down)
    nothing = -0.5 * (step / side) ** 2 + np.log(2.0 / (np.sqrt(2.0 * np.pi) * (down + up)))
    replaced = _normal(after - fresh, fresh_var + s1)
    shares = [
        _normal(step + u * (before - fresh), (1.0 - u) ** 2 * s0 + u**2 * fresh_var + s1) - np.log(len(CLEANED))
        for u in CLEANED
    ]
    # A part that reads like a fresh one has nothing to lose; wear is not cleaned off below it.
    cleaned = np.where(before > fresh, logsumexp(np.stack(shares), axis=0), -np.inf)
    replaced = np.where(before > fresh, replaced, -np.inf)
    jumped = _normal(step, JUMP**2 + s0 + s1)
    return np.stack([np.zeros_like(step), cleaned - nothing, replaced - nothing, jumped - nothing])


def _normal(distance: Array, variance: Array) -> Array:
    return np.asarray(-0.5 * distance**2 / variance - 0.5 * np.log(2.0 * np.pi * variance))
