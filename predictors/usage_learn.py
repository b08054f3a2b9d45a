"""A cohort's use, learned from the histories of its units (empirical Bayes), and how far to trust it."""

from dataclasses import replace

import numpy as np
from scipy.special import ndtri

from predictors.batch import Array
from predictors.usage import UsePath, forecast
from predictors.usage_cohort import GROUPS, KNOTS, UseCohort
from predictors.usage_days import WEEK, DailyUse, Numbers, harmonics, middles
from predictors.usage_known import know
from predictors.usage_level import JUMP_SD
from predictors.usage_season import fit
from predictors.usage_season import learn as learn_season
from predictors.usage_weeks import WEEKS_OF_YEAR, Weekly, noise, spread, week_of_year

MOST_STEP = 1.5  # of log use from one week to the next: beyond it somebody moved
LEAST_STEPS = 20  # units that tell of each week of the year, below which nothing is known of what all have in common
NEAR, FAR = 2, 10  # weeks apart: what grows between them is the walk of the level, not noise
CALM = 0.3  # of what a median level gains between them: the rest is changes of regime
PRIOR_UNITS = 5.0  # that the declared numbers are worth
PRIOR_WEEKS = 50.0  # of each week of the year, that are away as often as on the average
BACK = (28, 91, 182, 273, 364)  # days ago from which the model is asked again
LEAST_LOOKS = 20  # forecasts looked back at, below which a spread is left as it is; what a group's own are shrunk by
COVERED = 0.8  # of what came, within the interval that the spread is set by
LEAST_WEEKS = 12  # of a unit that tells how often units are away
LEAST_HISTORY = 84  # days before a look back
NEW_DAYS = (14, 42)  # of history that a look back pretends to, for what new units are like


def learn(daily: DailyUse, prior: UseCohort) -> UseCohort:
    """Return the cohort that these histories teach, from what was declared; the order of units does not matter."""
    if not np.isfinite(daily.days).any():
        return prior
    profile = _profile(daily, prior.profile)
    weekly = Weekly.of(daily, profile, float(np.exp(prior.level)))
    told = weekly.busy.sum(axis=1) >= 4
    m = int(told.sum())
    if m == 0:
        return replace(prior, profile=profile)
    steps = _steps(weekly.ordinary[told], weekly.week[told])
    weekly = weekly.without(steps)
    y = weekly.ordinary[told]
    near, count = spread(y, NEAR)
    of_week = float(np.median(near[count >= 3])) / 2.0 if (count >= 3).any() else prior.noise
    of_week = (m * of_week + PRIOR_UNITS * prior.noise) / (m + PRIOR_UNITS)
    of_unit, restless = noise(y, of_week), prior.walk + prior.hazard * JUMP_SD**2
    new = np.zeros(y.shape, dtype=bool)  # changes are not known yet: a level that moves more
    season = learn_season(y, weekly.waves[told], of_unit, new=new, walk=restless)
    own = fit(y, weekly.waves[told], of_unit, season, new=new, walk=restless)
    flat = y - np.einsum("nki,ni->nk", weekly.waves[told], own.mean)
    means = np.nanmean(flat, axis=1)
    level = (m * float(np.median(means)) + PRIOR_UNITS * prior.level) / (m + PRIOR_UNITS)
    level_sd = float(np.sqrt((((means - level) ** 2).sum() + PRIOR_UNITS * prior.level_sd**2) / (m + PRIOR_UNITS)))
    cohort = replace(
        prior,
        level=level,
        level_sd=max(level_sd, 0.1),
        noise=max(of_week, 1e-4),
        walk=_walk(flat, prior.walk),
        season=season,
        steps=steps,
        profile=profile,
        units=m,
    )
    cohort = _habits(daily, cohort)
    return cohort.with_scale(_scale(daily, cohort))


def _steps(y: Array, week: Numbers) -> Array:
    """Return what all units have in common by week of the year beside the yearly waves, (52,), as heating is.

    y: (m, K) log use in ordinary weeks, NaN elsewhere; week: (m, K). The mean of differences from one week to the next
    tells it, whatever the levels; they are summed, and a walk round the year that does not close is bent until it does.
    What noise alone would leave is shrunk away (James & Stein 1961). Zero unless each week of the year was seen.
    """
    gained = np.clip(y[:, 1:] - y[:, :-1], -MOST_STEP, MOST_STEP)
    known = np.isfinite(gained)
    count = np.bincount(week[:, 1:][known], minlength=WEEKS_OF_YEAR)
    if (count < LEAST_STEPS).any():
        return np.zeros(WEEKS_OF_YEAR)
    total = np.bincount(week[:, 1:][known], gained[known], WEEKS_OF_YEAR) / count
    raw = np.cumsum(total - total.mean())
    basis = np.column_stack(
        [np.ones(WEEKS_OF_YEAR), harmonics(WEEK * (np.arange(WEEKS_OF_YEAR, dtype=np.float64) + 0.5))]
    )
    off = raw - basis @ np.linalg.lstsq(basis, raw, rcond=None)[0]
    by_chance = gained[known].var() / 2.0 / count.mean()
    kept = max(0.0, 1.0 - by_chance / max(float(off.var()), 1e-12))
    return np.asarray(kept * (0.25 * np.roll(off, 1) + 0.5 * off + 0.25 * np.roll(off, -1)))


def _profile(daily: DailyUse, prior: Array) -> Array:
    """Return use by weekday over its mean, each unit with the same weight, shrunk to what was known before."""
    weekday, known = daily.weekdays(), np.isfinite(daily.days)
    day = np.where(known, daily.days, 0.0)
    total, days = day.sum(axis=1), known.sum(axis=1)
    told = (total > 0) & (days >= 2 * WEEK)
    if not told.any():
        return prior
    relative = day[told] / (total / np.maximum(days, 1))[told][:, None]
    shares = []
    for k in range(WEEK):
        on = known[told] & (weekday[told] == k)
        shares.append(((relative * on).sum() + 100.0 * prior[k]) / (on.sum() + 100.0))
    profile = np.maximum(np.array(shares), 0.01)
    return np.asarray(profile / profile.mean())


def _walk(flat: Array, prior: float) -> float:
    """Return the variance a level gains a week: differences FAR apart have more of it than those NEAR."""
    far, count = spread(flat, FAR)
    near, _ = spread(flat, NEAR)
    told = count >= 2 * FAR
    if not told.any():
        return prior
    gained = CALM * float(np.median(far[told] - near[told])) / (FAR - NEAR)
    m = int(told.sum())
    return max((m * gained + PRIOR_UNITS * prior) / (m + PRIOR_UNITS), 1e-5)


def _habits(daily: DailyUse, cohort: UseCohort) -> UseCohort:
    """Return the cohort with how often its units are away or change their use, and when in the year."""
    shares, stays, changes = [], np.zeros(2), np.zeros(2)
    by_week, weeks = np.zeros(WEEKS_OF_YEAR), np.zeros(WEEKS_OF_YEAR)
    for chunk in daily.chunks():
        known = know(chunk, cohort)
        seen, away = np.isfinite(known.weekly.use), known.level.away
        count = seen.sum(axis=1)
        shares.append(((seen * away).sum(axis=1) / np.maximum(count, 1))[count >= LEAST_WEEKS])
        then = (seen[:, 1:] & seen[:, :-1]) * away[:, :-1]
        stays += (then * away[:, 1:]).sum(), then.sum()
        changes += known.level.jumps.sum(axis=1)[count >= LEAST_WEEKS].sum(), count[count >= LEAST_WEEKS].sum()
        week = week_of_year(middles(chunk, -away.shape[1], away.shape[1]))
        by_week += np.bincount(week[seen], away[seen], WEEKS_OF_YEAR)
        weeks += np.bincount(week[seen], minlength=WEEKS_OF_YEAR)
    share = np.concatenate(shares)
    m = share.size
    mean = float((share.sum() + PRIOR_UNITS * cohort.away) / (m + PRIOR_UNITS))
    # A Beta distribution of shares over units, by its moments: variance = mean (1 - mean) / (weight + 1).
    variance = float(share.var()) if m >= 2 else 0.0
    weight = mean * (1.0 - mean) / max(variance, 1e-4) - 1.0
    overall = max(by_week.sum() / max(weeks.sum(), 1.0), 1e-3)
    relative = (by_week + PRIOR_WEEKS * overall) / (weeks + PRIOR_WEEKS)
    smooth = 0.25 * np.roll(relative, 1) + 0.5 * relative + 0.25 * np.roll(relative, -1)
    return replace(
        cohort,
        away=float(np.clip(mean, 1e-3, 0.9)),
        away_weight=float(np.clip((m * weight + PRIOR_UNITS * cohort.away_weight) / (m + PRIOR_UNITS), 2.0, 100.0)),
        stay=float(np.clip((20.0 * cohort.stay + stays[0]) / (20.0 + stays[1]), 0.05, 0.95)),
        hazard=float(np.clip((260.0 * cohort.hazard + changes[0]) / (260.0 + changes[1]), 1e-3, 0.05)),
        away_by_week=smooth / smooth.mean(),
    )


def _scale(daily: DailyUse, cohort: UseCohort) -> Array:
    """Return by how much each group's spread must be wider at each knot for what came to be as likely as was said.

    Conformal by unit and by group (Vovk, Gammerman & Shafer 2005): the model is asked again as of BACK days ago; at the
    furthest knot within reach, the 80 % quantile of |log C - log median| / sd over the normal's 1.2816, shrunk to that
    of all groups. Between looks it is interpolated, beyond the furthest it stays. What new units are like is learned
    from all, as if each had come NEW_DAYS before the look: those that stayed tell of every habit.
    """
    knots, scales = [], []
    plain = cohort.with_scale(np.ones((GROUPS, len(KNOTS))))
    for back in BACK:
        if daily.days.shape[1] < back + LEAST_HISTORY:
            continue
        reach = max(i for i, knot in enumerate(KNOTS) if knot <= back)
        used = daily.days[:, -back:][:, : KNOTS[reach]].sum(axis=1)
        past = daily.before(back)
        looks = [_looked(forecast(seen, plain), used, reach) for seen in (past, *map(past.last, NEW_DAYS))]
        if looks[0][0].size < LEAST_LOOKS:
            continue
        every = np.quantile(looks[0][0], COVERED)
        off, group = (np.concatenate(column) for column in zip(*looks, strict=True))
        own = [off[group == g] for g in range(GROUPS)]
        weight = [each.size / (each.size + LEAST_LOOKS) for each in own]
        at = [np.quantile(each, COVERED) if each.size else every for each in own]
        knots.append(KNOTS[reach])
        scales.append([(w * q + (1.0 - w) * every) / ndtri(0.5 + COVERED / 2) for w, q in zip(weight, at, strict=True)])
    if not knots:
        return cohort.scale
    table = np.clip(np.array(scales), 0.5, 3.0)
    return np.stack([np.interp(KNOTS, knots, column) for column in table.T])


def _looked(then: UsePath, used: Array, knot: int) -> tuple[Array, Numbers]:
    """Return how far use (n,) up to a knot was from what was foretold, in standard deviations, and the groups."""
    whole = np.isfinite(used) & (used > 0) & ~then.cohort_only
    off = np.abs(np.log(used[whole]) - np.log(then.cumulative[whole, knot])) / then.log_sd[whole, knot]
    return off, then.group[whole]
