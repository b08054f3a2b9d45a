"""Parts that a model is measured on teach nothing of what they are measured by, the exposure clock included."""

import numpy as np

from predictors.clock import ExposureClock
from predictors.crossing import LevelCrossing
from predictors.declaration import Declaration
from predictors.history import History
from predictors.hit import Hit
from predictors.reckoning import Reckoning

GROUPS, EACH = 8, 6
DECLARED = Declaration(1000.0, 200.0, 100.0, (20.0, 50.0, 80.0), ("log hardness",))


def conditions(seed: int, *, lasting: float = 0.15) -> History:
    """Groups of parts, each under a hardness of its own: lives go with it, and with what nobody knows."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(GROUPS), EACH)
    z = np.linspace(-1.0, 1.0, GROUPS)[group]
    log_life = -0.9 * z + lasting * rng.standard_normal(GROUPS)[group] + 0.03 * rng.standard_normal(group.size)
    life = 1000.0 * np.exp(log_life)
    return History.of(
        life,
        np.zeros(group.size, dtype=bool),
        groups=group,
        hits=life[:, None] * np.array([0.4, 0.7, 0.9]),
        covariates=z[:, None],
    )


def test_without_a_clock_nothing_is_counted_anew() -> None:
    """No covariates, or none that proves itself: the very cycles."""
    history = conditions(1)
    plain = Reckoning.of(history, fitted=False)
    assert plain.whole is history
    assert plain.without(np.arange(len(history)) < EACH) is history
    useless = Reckoning.of(
        History.of(history.exposure, history.censored, covariates=0.0 * history.exposure[:, None]), fitted=True
    )
    assert useless.without(np.arange(len(history)) < EACH) is useless.whole


def test_those_left_out_stand_on_the_clock_of_the_others() -> None:
    """The exponent is the one that the others alone would have taught."""
    history = conditions(1)
    cycles, out = Reckoning.of(history, fitted=True), np.arange(len(history)) < EACH
    others = ExposureClock.learn(history.take(~out))
    assert others is not None
    assert cycles.clock is not None
    assert others.beta[0] != cycles.clock.beta[0]
    assert np.array_equal(others.history(history).exposure, cycles.without(out).exposure)


def test_a_clock_that_those_measured_taught_would_make_intervals_too_narrow() -> None:
    """Each group left out also moves the exponent; a spread measured on the finished clock does not know that."""
    wider = []
    for seed in range(12):
        history = conditions(seed)
        model = Hit(DECLARED).fit(history)
        assert model.clock is not None
        assert model.crossing is not None
        if model.clock.beta[0] == 0:  # not confirmed by the groups left out
            continue
        blind = LevelCrossing.learn(model.clock.history(history))
        assert blind is not None
        wider.append(model.crossing.widening[0] / blind.widening[0])
    assert len(wider) >= 4
    assert np.median(wider) > 1.05
