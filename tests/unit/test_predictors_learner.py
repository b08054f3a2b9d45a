"""Trees beside the levels' law: when they speak, when they are silent, and how sure they are together."""

import json
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors import lognormal, path
from predictors.artifact import DamagedArtifact
from predictors.crossing import LevelCrossing
from predictors.history import History
from predictors.learner import Learner, Trust

SHARES = np.array([0.25, 0.45, 0.65, 0.85])  # of life at which the levels are crossed
LEVELS = SHARES.size
WAY = np.full(LEVELS, 0.2)
MEDIAN = 900.0
QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True)
class Lives:
    """Parts that wear at a pace of their own: their levels, (m, 4), and how tough each is, (m,)."""

    life: np.ndarray
    hits: np.ndarray
    tough: np.ndarray

    def reads(self, at: np.ndarray) -> np.ndarray:
        """What the indicators read at `at`, (m, ...): the levels' way, and over life a mean that tells the tough."""
        rise = np.linspace(0.0, 1.0, LEVELS + 2)
        ways = zip(at, self.hits, self.life, strict=True)
        share = np.array([np.interp(now, [0.0, *hits, life], rise) for now, hits, life in ways])
        mean = 0.5 * share * (1.15 + self.tough.reshape(-1, *[1] * (at.ndim - 1)))
        return np.stack([at, share, share, share, mean], axis=-1)


@dataclass(frozen=True, slots=True)
class Taught:
    """The law, and the trees beside it."""

    law: LevelCrossing
    learner: Learner

    def left(self, used: np.ndarray, hits: np.ndarray, reads: np.ndarray, **told: Any) -> np.ndarray:
        return self.learner.left(self.law, used, hits, reads, QUANTILES, **told)[0]


def lives(m: int, seed: int, *, group: np.ndarray | None = None) -> Lives:
    """Half of the parts last a quarter longer than their levels tell; the mean over their life tells it."""
    rng = np.random.default_rng(seed)
    pace = MEDIAN * np.exp(0.2 * rng.standard_normal(m))
    tough = 0.12 * rng.choice([-1.0, 1.0], m)
    walk = 0.05 * rng.standard_normal((m, LEVELS)).cumsum(axis=1)[:, ::-1]
    hits = np.sort(pace[:, None] * SHARES * np.exp(walk), axis=1)
    life = pace * np.exp(tough if group is None else tough + group)
    return Lives(np.maximum(life, 1.02 * hits[:, -1]), hits, tough)


def history(parts: Lives, *, running: bool = False, groups: np.ndarray | None = None, seed: int = 5) -> History:
    """Finished parts, or every other one of them stopped at a time that has nothing to do with its life."""
    m = parts.life.size
    stop = np.where(np.arange(m) % 2 == 0, np.inf, np.random.default_rng(seed).uniform(0.2, 1.3, m) * MEDIAN)
    now = np.minimum(parts.life, stop) if running else parts.life
    grid = np.tile(0.0125 * MEDIAN * np.arange(1, 200), (m, 1))
    looks = [table[table[:, 0] <= last] for table, last in zip(parts.reads(grid), now, strict=True)]
    return History.of(now, now < parts.life, groups=groups, hits=path.known(parts.hits, now), looks=looks)


def taught(past: History) -> Taught:
    law = LevelCrossing.learn(past)
    assert law is not None
    learner = Learner.learn(past, WAY, law.prior)
    assert learner is not None
    return Taught(law, learner)


@cache
def fleet() -> Taught:
    return taught(history(lives(60, 1)))


@cache
def few() -> Taught:
    return taught(history(lives(14, 2)))


def asked(parts: Lives, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each part at a moment of its life, what it has crossed by then, and what it reads."""
    used = parts.life * np.random.default_rng(seed).uniform(0.05, 0.97, parts.life.size)
    return used, path.known(parts.hits, used), parts.reads(used)


@pytest.mark.parametrize("running", [False, True])
def test_four_in_five_of_unseen_parts_end_within_the_interval(running: bool) -> None:
    """Asked anywhere in their lives, learned from ended parts alone or with half of them still running."""
    covered = []
    for seed in (1, 2, 3):
        found = taught(history(lives(60, seed), running=running))
        others = lives(1500, 100 + seed)
        used, hits, reads = asked(others, seed)
        ends = used[:, None] + found.left(used, hits, reads)
        covered.append(np.mean((ends[:, 0] <= others.life) & (others.life <= ends[:, 2])))
    assert 0.72 <= np.mean(covered) <= 0.88


def test_more_wear_never_lengthens_life() -> None:
    """Swept from its last look to four lives, what is left only falls."""
    parts, further = lives(12, 7), np.linspace(0.0, 4.0 * MEDIAN, 240)
    crossed = np.arange(12) % (LEVELS + 1)
    last = np.where(crossed > 0, parts.hits[np.arange(12), crossed - 1] * 1.01, 0.1 * parts.life)
    hits, reads = path.known(parts.hits, last), parts.reads(last)
    rows = np.repeat(np.arange(12), further.size)
    swept = fleet().left(last[rows] + np.tile(further, 12), hits[rows], reads[rows])
    left = swept.reshape(12, further.size, len(QUANTILES))
    assert np.isfinite(left).all()
    assert (np.diff(left, axis=1) <= 1e-9 * left[:, :-1] + 1e-9).all()
    assert (np.diff(left, axis=2) >= 0).all()


@given(part=st.integers(0, 11), share=st.floats(0.01, 3.0))
@settings(max_examples=40)
def test_after_a_look_survival_alone_conditions(part: int, share: float) -> None:
    """The law stands still until the next look: its pace does, and less is left only by what was used."""
    parts = lives(12, 7)
    at = parts.hits[part, 1] * np.ones(12)
    hits, reads = (table[part : part + 1] for table in (path.known(parts.hits, at), parts.reads(at)))
    first, second = at[:1], at[:1] * (1.0 + share)
    (one, pace, _), (two, later, _) = (
        fleet().learner.left(fleet().law, used, hits, reads, QUANTILES) for used in (first, second)
    )
    assert pace[0] == later[0]
    assert (two < one).all()
    assert (first + one <= (second + two) * (1 + 1e-9)).all()


def test_a_look_that_finds_nothing_new_is_news() -> None:
    """Looked at later, without the next level crossed, a part is a slower one."""
    hits = np.array([[230.0, 400.0, np.nan, np.nan]])
    due, late = (
        fleet().learner.left(fleet().law, np.array([now]), hits, np.array([[now, *[0.41] * 3, 0.25]]), QUANTILES)[1]
        for now in (500.0, 800.0)
    )
    assert late[0] > 1.1 * due[0]


def test_a_level_crossed_after_the_look_is_not_known() -> None:
    """Looked at when it was new, a part has crossed nothing, however soon after that it did."""
    looked = np.array([[0.0, 0.0, 0.0, 0.0, 0.0]])
    soon, never = (fleet().left(np.zeros(1), np.full((1, LEVELS), hit), looked) for hit in (0.5, np.nan))
    assert np.array_equal(never, soon)


def test_a_part_unlike_any_seen_is_forecast_without_the_trees_and_with_the_wider_spread() -> None:
    """Far outside the features seen the trees are silent, and the law has the spread of strangers."""
    assert fleet().learner.known.share > 0
    odd = Taught(fleet().law, replace(fleet().learner, strange=Trust(0.5, 2.0 * fleet().learner.known.spread)))
    hits = np.array([[230.0, 400.0, 590.0, np.nan], [0.002, 0.004, 0.006, np.nan]])
    used, reads = np.array([600.0, 600.0]), np.tile([600.0, 0.61, 0.61, 0.61, 0.35], (2, 1))
    _, _, share = odd.learner.left(odd.law, used, hits, reads, QUANTILES)
    assert [fleet().learner.known.share, 0.0] == share.tolist()
    narrow, wide = fleet().left(used, hits, reads), odd.left(used, hits, reads)
    assert np.array_equal(narrow[0], wide[0])
    assert wide[1, 2] - wide[1, 0] > 1.5 * (narrow[1, 2] - narrow[1, 0])


def test_a_group_never_seen_gets_the_spread_that_groups_left_out_needed() -> None:
    """Where groups differ, a part of a new one is told so: as far about a median of its own, but wider."""
    group = np.repeat([-0.3, -0.1, 0.0, 0.1, 0.3], 12)
    past = lives(60, 4, group=group)
    found = taught(history(past, groups=np.repeat(np.arange(5), 12)))
    assert (found.learner.strange.spread >= found.learner.known.spread).all()
    used, hits, reads = asked(lives(200, 9), 9)
    known, new = (found.left(used, hits, reads, novel=np.full(200, novel)) for novel in (False, True))
    assert np.median(new[:, 2] - new[:, 0]) > 1.1 * np.median(known[:, 2] - known[:, 0])
    nobody = found.left(used, hits, reads)
    assert np.array_equal(known, nobody)


def test_trees_are_not_asked_before_a_dozen_parts_ended() -> None:
    """Eleven ends: the law alone, a single tree kept, and calibrated all the same."""
    found = taught(history(lives(11, 3)))
    assert (0.0, 1) == (found.learner.known.share, found.learner.forest.roots.size)
    used, hits, reads = asked(lives(20, 4), 4)
    assert (np.diff(found.left(used, hits, reads), axis=1) > 0).all()


def test_nothing_is_learned_where_nothing_ended_or_nothing_was_looked_at() -> None:
    """Parts that all run, none that was looked at, no levels at all: no learner, and nothing raised."""
    parts, none = lives(20, 1), np.zeros(20, dtype=bool)
    prior = fleet().law.prior
    looks = list(parts.reads(np.full((20, 1), 50.0)))
    assert Learner.learn(History.of(parts.life, ~none, hits=parts.hits, looks=looks), WAY, prior) is None
    assert Learner.learn(History.of(parts.life, none, hits=parts.hits), WAY, prior) is None
    assert Learner.learn(History.of(parts.life, none, looks=looks), WAY, prior) is None


def test_the_interval_is_that_of_a_truncated_law() -> None:
    """With the trees silent and a factor of one, what is left is the log-normal's, truncated at now."""
    plain = replace(fleet().learner, known=Trust(0.0, np.ones(LEVELS + 1)))
    hits, reads = np.array([[230.0, 400.0, 590.0, 770.0]]), np.array([[770.0, 0.81, 0.81, 0.81, 0.45]])
    used = np.array([772.0])
    location, sd = fleet().law.expected(np.array([770.0]), hits), float(fleet().law.spread[-1])
    expected = lognormal.left(used, location, sd, QUANTILES)
    assert pytest.approx(expected, rel=1e-3) == plain.left(fleet().law, used, hits, reads, QUANTILES)[0]


@cache
def text() -> str:
    return json.dumps(few().learner.written())


def written() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text())
    return found


def test_what_comes_back_from_json_says_the_same_to_the_last_bit() -> None:
    """Written, sent through JSON and read: the same forecasts."""
    again = Taught(few().law, Learner.read(written(), LEVELS))
    used, hits, reads = asked(lives(40, 6), 6)
    assert np.array_equal(few().left(used, hits, reads), again.left(used, hits, reads))
    assert few().learner.written() == again.learner.written()


FIELDS = ("forest", "scale", "way", "low", "high", "known", "strange")


@pytest.mark.parametrize("key", FIELDS)
@given(
    wrong=st.one_of(
        st.none(),
        st.text(),
        st.sampled_from([[], {}, -1, -1.5, float("nan"), float("inf"), 10**400]),
        st.lists(st.floats(), min_size=1, max_size=3),
    )
)
@settings(max_examples=25)
def test_a_field_that_cannot_be_is_refused(key: str, wrong: object) -> None:
    """Words, nothing, numbers that are none, lists of another length: a damaged artifact, and no other error."""
    with pytest.raises(DamagedArtifact):
        Learner.read(written() | {key: wrong}, LEVELS)


@pytest.mark.parametrize("key", FIELDS)
def test_a_field_that_is_missing_is_refused(key: str) -> None:
    """Each of them is needed."""
    with pytest.raises(DamagedArtifact):
        Learner.read({name: value for name, value in written().items() if name != key}, LEVELS)


@pytest.mark.parametrize(
    "trust",
    [
        {"share": 1.5, "spread": [1.0] * 5},
        {"share": float("nan"), "spread": [1.0] * 5},
        {"share": 0.5, "spread": [1.0] * 4},
        {"share": 0.5, "spread": [1.0, 1.0, 0.0, 1.0, 1.0]},
        {"share": 0.5, "spread": [1.0, 1.0, float("inf"), 1.0, 1.0]},
        {"share": 0.5},
    ],
)
def test_trust_that_cannot_be_is_refused(trust: dict[str, Any]) -> None:
    """A share outside 0 to 1, a spread of nothing or without bound, or not one for each level."""
    with pytest.raises(DamagedArtifact):
        Learner.read(written() | {"known": trust}, LEVELS)


@pytest.mark.parametrize("name", ["way", "low", "high"])
def test_ranges_that_are_no_numbers_are_refused(name: str) -> None:
    """A range with NaN in it would call every part strange, or none."""
    whole = written()
    whole[name][1] = float("nan")
    with pytest.raises(DamagedArtifact):
        Learner.read(whole, LEVELS)


def test_a_learner_over_other_levels_is_refused() -> None:
    """What was learned over four levels cannot be read over sixteen."""
    with pytest.raises(DamagedArtifact, match="16 declared levels"):
        Learner.read(written(), 16)
