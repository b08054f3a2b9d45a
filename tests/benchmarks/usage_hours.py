"""What the hour of the week could change in a date: `python -m tests.benchmarks.usage_hours [--units N] [--seed S]`.

Simulated households with hours of their own: evenings, days, nights or all round the clock, later at weekends, and no
two days quite alike. At some hour of a day the exposure left is what will be used within the next 6 hours to a week, so
that the right moment is known. Both forecasts stand on the same days to come (predictors.usage); one lets them pass
evenly, as dates do now, the other by the hours at which this household used it in the eight weeks before.
"""

import argparse

import numpy as np

from predictors import usage, usage_learn
from predictors.usage_cohort import KNOTS, UseCohort
from tests.benchmarks._households import YEAR, simulate, weekday
from tests.benchmarks.usage import DECLARED_H, SPAN, daily

DAY = 24
WEEKS = 8  # that a household's hours are learned from
AHEAD = 21  # days within which every moment asked for comes
HORIZONS_H = (6, 12, 18, 24, 30, 36, 48, 72, 168)
ORIGINS = (455, 640, 730)
HABITS = (("evening", 0.4, 19.0, 2.5), ("day", 0.25, 13.0, 4.0), ("all day", 0.2, 12.0, 1e3), ("night", 0.15, 1.5, 3.5))
PRIOR_H = 5.0  # running hours, spread evenly, that a household's hours are shrunk by
PRIOR_WEEKDAY = 20.0  # running hours that its hours of any day are worth beside those of one weekday
LEAST_LEFT = 0.02  # running hours: who uses less has nothing to be used up


def spread(use: np.ndarray, first: int, rng: np.random.Generator) -> np.ndarray:
    """Return daily use (n, T) from day `first` on hour by hour, (n, T, 24), none of them above one."""
    n, days = use.shape
    habit = rng.choice(len(HABITS), n, p=[share for _, share, _, _ in HABITS])
    usual = np.array([centre for _, _, centre, _ in HABITS])[habit] + 1.5 * rng.standard_normal(n)
    width = np.array([width for _, _, _, width in HABITS])[habit]
    weekend = (weekday(first) + np.arange(days)) % 7 >= 5
    centre = usual[:, None] + rng.standard_normal((n, days)) + 2.0 * weekend
    off = (np.arange(DAY) + 0.5 - centre[:, :, None] + 12.0) % DAY - 12.0
    wish = np.exp(-0.5 * (off / width[:, None, None]) ** 2 + 0.7 * rng.standard_normal((n, days, DAY)))
    hours = np.zeros_like(wish)
    for _ in range(12):  # what an hour cannot hold goes to the others
        room = wish * (hours < 1.0)
        left = np.maximum(use - hours.sum(axis=2), 0.0)
        hours = np.minimum(hours + room / np.maximum(room.sum(axis=2), 1e-12)[:, :, None] * left[:, :, None], 1.0)
    return hours


def habits(past: np.ndarray, first: int) -> np.ndarray:
    """Return the share of a day's use in each hour by weekday, (n, 7, 24), from past hours (n, T, 24)."""
    every = past.sum(axis=1) + PRIOR_H / DAY
    every /= every.sum(axis=1, keepdims=True)
    day = (weekday(first) + np.arange(past.shape[1])) % 7
    by_day = np.stack([past[:, day == k].sum(axis=1) + PRIOR_WEEKDAY * every for k in range(7)], axis=1)
    return by_day / by_day.sum(axis=2, keepdims=True)


def moments(used: np.ndarray, start: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Return in how many hours from hour `start` (n,) of a path (n, H) what is left (n,) will have been used up."""
    path = np.concatenate([np.zeros((len(used), 1)), used.cumsum(axis=1)], axis=1)
    rows = np.arange(len(path))
    wanted = path[rows, start] + left
    after = np.clip((path < wanted[:, None] - 1e-9).sum(axis=1), 1, path.shape[1] - 1)
    low, high = path[rows, after - 1], path[rows, after]
    share = np.divide(wanted - low, high - low, out=np.ones_like(low), where=high > low)
    return after - 1.0 + np.clip(share, 0.0, 1.0) - start


def errors(units: int, seed: int) -> dict[int, dict[str, np.ndarray]]:
    """Return by horizon the errors in hours, (n,), of both forecasts, and whether their calendar day is right."""
    found: dict[int, list[np.ndarray]] = {horizon: [] for horizon in HORIZONS_H}
    for origin in ORIGINS:
        rng = np.random.default_rng([seed, origin])
        others, houses = simulate(units, SPAN, rng, origin), simulate(units, SPAN, rng, origin)
        cohort = usage_learn.learn(daily(others, origin, 2 * YEAR), UseCohort.declared(DECLARED_H))
        path = usage.forecast(daily(houses, origin, 400), cohort)
        first = origin - 7 * WEEKS
        hours = spread(houses.use[:, first : origin + AHEAD], first, rng)
        shares = habits(hours[:, : 7 * WEEKS], first)
        to_come = hours[:, 7 * WEEKS :].reshape(units, -1)
        knots = [0, *KNOTS[:7]]
        by_day = np.array([np.interp(np.arange(AHEAD + 1), knots, [0.0, *row[:7]]) for row in path.cumulative])
        per_day = np.diff(by_day, axis=1)[:, :, None]
        even = np.repeat(per_day / DAY, DAY, axis=2).reshape(units, -1)
        timed = (per_day * shares[:, (weekday(origin) + np.arange(AHEAD)) % 7]).reshape(units, -1)
        now = rng.integers(0, DAY, units)
        for horizon, rows in found.items():
            window = now[:, None] + np.arange(horizon)
            left = np.take_along_axis(to_come, window, axis=1).sum(axis=1)
            some = left > LEAST_LEFT
            came = moments(to_come, now, left)
            # A path begins with the day that the last word fell in, as dates take it.
            told = (moments(even, np.zeros_like(now), left), moments(timed, now, left))
            right = [(now + when) // DAY == (now + came) // DAY for when in told]
            rows.append(np.stack([*(np.abs(when - came) for when in told), *right])[:, some])
    names = ("days", "hours", "right day, days", "right day, hours")
    return {horizon: dict(zip(names, np.concatenate(rows, axis=1), strict=True)) for horizon, rows in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=2)
    asked = parser.parse_args()
    print(f"simulated households: {asked.units} at each of {len(ORIGINS)} days, seed {asked.seed}; errors in hours")
    print("| left for | days: mean · median | hours of the week: mean · median | right day: days · hours |")
    print("|---|---|---|---|")
    for horizon, found in errors(asked.units, asked.seed).items():
        both = [f"{found[name].mean():.1f} · {np.median(found[name]):.1f}" for name in ("days", "hours")]
        right = " · ".join(f"{found[f'right day, {name}'].mean():.2f}" for name in ("days", "hours"))
        print(f"| {horizon} h | {both[0]} | {both[1]} | {right} |")


if __name__ == "__main__":
    main()
