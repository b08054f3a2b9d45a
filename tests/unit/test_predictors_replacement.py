"""Was the part replaced? Each verdict from signals made for it, and silence where nothing happened."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from predictors import changepoint, replacement
from predictors.batch import Array
from predictors.replacement import Verdict, Window

HOURS = 336  # two weeks
FRESH = float(np.log(40.0))  # Pa
CLOGGED = FRESH + 0.8
AT = 200
EARLY = np.arange(HOURS) < AT


def looks(level: Array | float, n: int = 200, *, noise: float = 0.03, share: float = 0.5, seed: int = 1) -> Array:
    """Log indicators of n units about a level, looked at in a share of the hours."""
    rng = np.random.default_rng(seed)
    y = np.broadcast_to(level, (n, HOURS)) + noise * rng.standard_normal((n, HOURS))
    return np.where(rng.random((n, HOURS)) < share, y, np.nan)


def alike(n: int, correlation: float, sd: float, seed: int = 2) -> Array:
    """Noise that resembles its neighbours, as a household's days do."""
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((n, HOURS)) * sd * np.sqrt(1 - correlation**2)
    for hour in range(1, HOURS):
        steps[:, hour] += correlation * steps[:, hour - 1]
    return steps


def window(y: Array, left: Array | None = None, *, told: int = -1, reset: int = -1, fresh: float = FRESH) -> Window:
    n = len(y)
    counter = np.full(y.shape, np.nan) if left is None else np.broadcast_to(left, y.shape)
    return Window(y, counter, np.full(n, fresh), np.full(n, 0.1), np.full(n, told), np.full(n, reset))


def share(found: replacement.Verdicts, verdict: Verdict) -> float:
    return float((found.kind == verdict).mean())


COUNTS_ON = np.linspace(0.3, 0.2, HOURS)
BEGINS_AGAIN = np.where(EARLY, 0.3, 1.0)
DROPS = np.where(EARLY, CLOGGED, FRESH + 0.05)


@pytest.mark.parametrize(
    ("level", "left", "verdict"),
    [
        (DROPS, None, Verdict.REPLACED),
        (DROPS, BEGINS_AGAIN, Verdict.REPLACED),
        (DROPS, COUNTS_ON, Verdict.UNRESET),
        (CLOGGED, BEGINS_AGAIN, Verdict.RESET),
        (np.where(EARLY, CLOGGED, FRESH + 0.4), None, Verdict.CLEANED),
        (np.where(EARLY, CLOGGED, FRESH + 0.4), BEGINS_AGAIN, Verdict.CLEANED),
        (np.where(EARLY, CLOGGED, FRESH - 1.2), None, Verdict.UNKNOWN),  # below what any fresh part reads
        (np.where(np.arange(HOURS) < 60, CLOGGED, FRESH), BEGINS_AGAIN, Verdict.UNKNOWN),  # days apart: they conflict
        (CLOGGED, COUNTS_ON, Verdict.NOTHING),
        (FRESH, COUNTS_ON, Verdict.NOTHING),
    ],
)
def test_each_cause_has_its_verdict(level: Array | float, left: Array | None, verdict: Verdict) -> None:
    """Replaced, cleaned, reset without replacement, replaced without reset, unknown, nothing: told apart."""
    assert share(replacement.judge(window(looks(level), left)), verdict) >= 0.99


@pytest.mark.parametrize(("level", "verdict"), [(FRESH + 0.05, Verdict.REPLACED), (FRESH + 0.4, Verdict.CLEANED)])
@pytest.mark.parametrize("begins_again", [False, True])
def test_a_change_is_judged_once_a_level_is_known_and_not_before(
    level: float, verdict: Verdict, *, begins_again: bool
) -> None:
    """Judged at each look, a new part is never taken for one that was cleaned: the first looks are too few to tell."""
    whole = looks(np.where(EARLY, CLOGGED, level), share=1.0)
    for new in range(1, 25):
        left = np.where(np.arange(HOURS) < AT + new, BEGINS_AGAIN, np.nan) if begins_again else None
        found = replacement.judge(window(np.where(np.arange(HOURS) < AT + new, whole, np.nan), left))
        if new < changepoint.LEAST:
            assert share(found, Verdict.NOTHING) == 1.0, f"after {new} looks"
            assert (found.waits == (begins_again and new >= replacement.HELD)).all()
        else:
            assert share(found, verdict) > 0.9, f"after {new} looks"
            assert not np.isin(found.kind, list({Verdict.REPLACED, Verdict.CLEANED} - {verdict})).any()


def test_the_moment_is_found() -> None:
    """Within a look or two of where it lies, with its probability."""
    found = replacement.judge(window(looks(DROPS)))
    assert np.abs(found.at - AT).max() <= 8
    assert (found.probability > 0.9).all()


def test_counter_and_indicator_together_are_beyond_doubt_and_neither_alone_is() -> None:
    """Enough to act without asking: two witnesses that tell of one moment."""
    both = replacement.judge(window(looks(DROPS), BEGINS_AGAIN))
    assert both.certain.mean() > 0.85
    for level, left in ((DROPS, None), (DROPS, COUNTS_ON), (CLOGGED, BEGINS_AGAIN), (FRESH, BEGINS_AGAIN)):
        assert not replacement.judge(window(looks(level), left)).certain.any()


def test_what_somebody_told_comes_first() -> None:
    """An event or a tag is a replacement, whatever the signals say."""
    found = replacement.judge(window(looks(CLOGGED), COUNTS_ON, told=77))
    assert (Verdict.REPLACED, 1.0, 77) == (found.kind[0], found.probability[0], found.at[0])


def test_a_counter_alone_is_probably_a_new_part() -> None:
    """Without an indicator four resets in five come with one: enough to ask, never enough to act."""
    found = replacement.judge(window(np.full((5, HOURS), np.nan), BEGINS_AGAIN))
    assert (found.kind == Verdict.REPLACED).all()
    assert found.probability == pytest.approx(0.82, abs=0.03)
    assert not found.certain.any()


def test_a_counter_that_has_just_begun_again_waits_for_the_indicator() -> None:
    """The reset is told at once, the pressure drop of the hours to come says what it means."""
    level = looks(CLOGGED, 5, share=1.0)
    level[:, AT + 2 :] = np.nan
    found = replacement.judge(window(level, reset=AT))
    assert found.waits.all()
    assert (found.kind == Verdict.NOTHING).all()


def test_one_bad_report_is_no_reset() -> None:
    """A counter that says 100 % once, between 30 and 30, goes on."""
    left = np.full(HOURS, 0.3)
    left[AT] = 1.0
    assert (replacement.judge(window(looks(CLOGGED), left)).kind == Verdict.NOTHING).all()


def test_one_bad_look_is_no_drop() -> None:
    """A sensor that reads a fresh part's value once has found none."""
    y = looks(CLOGGED, share=1.0)
    y[:, AT] = FRESH
    assert (replacement.judge(window(y)).kind == Verdict.NOTHING).all()


@pytest.mark.parametrize("growth", [0.0, 0.2, 0.5])
def test_wear_is_no_event(growth: float) -> None:
    """Two weeks of level or rising pressure drop are nothing."""
    assert share(replacement.judge(window(looks(CLOGGED + np.linspace(0, growth, HOURS)))), Verdict.NOTHING) > 0.99


def test_false_alarms_are_as_few_as_stated() -> None:
    """Fewer than one quiet window in a thousand, and one in fifty of a household whose hours resemble each other."""
    quiet = replacement.judge(window(looks(CLOGGED, 4000)))
    assert 1.0 - share(quiet, Verdict.NOTHING) <= 1e-3
    unquiet = replacement.judge(window(FRESH + 0.6 + alike(2000, 0.9, 0.05)))
    assert 1.0 - share(unquiet, Verdict.NOTHING) <= 0.02
    assert share(unquiet, Verdict.REPLACED) <= 1e-3


def test_a_level_that_is_not_known_for_a_fresh_part_tells_nothing() -> None:
    """Without a fresh part's level a drop cannot be told from anything else."""
    found = replacement.judge(window(looks(DROPS), fresh=np.nan))
    assert (found.kind == Verdict.NOTHING).all()


def test_units_do_not_depend_on_each_other() -> None:
    """A unit's verdict is the same alone and among others, in any order."""
    y = np.concatenate([looks(DROPS, 20), looks(CLOGGED, 20, seed=3), looks(FRESH + 0.3, 20, share=0.1)])
    whole = replacement.judge(window(y))
    alone = np.concatenate([replacement.judge(window(y[[i]])).probability for i in range(len(y))])
    assert whole.probability == pytest.approx(alone, abs=1e-12)
    turned = replacement.judge(window(y[::-1]))
    assert np.array_equal(whole.kind, turned.kind[::-1])


def test_nothing_beyond_the_window_is_looked_at() -> None:
    """The verdict at an hour is the same whether or not more hours follow later."""
    y = looks(DROPS)
    cut = replacement.judge(window(np.where(np.arange(HOURS) <= 260, y, np.nan)))
    changed = y.copy()
    changed[:, 261:] = np.nan
    assert np.array_equal(cut.kind, replacement.judge(window(changed)).kind)


@given(
    y=hnp.arrays(np.float64, (3, 40), elements=st.floats(allow_nan=True, allow_infinity=True)),
    left=hnp.arrays(np.float64, (3, 40), elements=st.floats(-1.0, 2.0) | st.just(np.nan)),
)
def test_any_series_gets_a_verdict(y: Array, left: Array) -> None:
    """NaN, absurd and constant values never raise, and a probability is one."""
    indicator = changepoint.log_scale(y)
    found = replacement.judge(window(indicator, left))
    assert ((found.probability >= 0) & (found.probability <= 1)).all()
    assert np.isin(found.kind, list(Verdict)).all()


@pytest.mark.parametrize("width", [0, 1, 5])
def test_a_short_window_tells_nothing(width: int) -> None:
    """Too few looks for two levels are no evidence."""
    found = replacement.judge(window(np.zeros((2, width))))
    assert (found.kind == Verdict.NOTHING).all()


def test_shapes_that_differ_are_refused() -> None:
    """A window whose columns do not belong together says which."""
    with pytest.raises(ValueError, match="left has"):
        Window(np.zeros((2, 3)), np.zeros((2, 4)), np.zeros(2), np.zeros(2), np.zeros(2, int), np.zeros(2, int))
    with pytest.raises(ValueError, match="fresh_sd has"):
        Window(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros(2), np.zeros(3), np.zeros(2, int), np.zeros(2, int))
