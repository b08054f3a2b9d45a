"""Champion against challenger on identical snapshots, paired, with a rule that was fixed beforehand.

Both are judged on the snapshots that both may be judged on, cycle by cycle; a cycle is a pair. Units are drawn again
with replacement (Efron 1979; by unit, because the cycles of one home resemble each other), so that the share of draws
in which the challenger costs less says how sure the difference is.
"""

from dataclasses import dataclass
from math import isnan

import numpy as np
import psycopg

from gateway.bench import leak, replay, scores
from gateway.bench.backtest import Progress, backtest, origins
from gateway.bench.contender import Contender
from gateway.bench.crew import INLINE, Crew
from gateway.bench.record import Array, Record
from gateway.bench.replay import Outcome
from gateway.bench.scores import Score
from gateway.registry import declarations

DRAWS = 2_000
SEED = 20_260_101
UNJUDGED = "nothing can be judged yet"


@dataclass(frozen=True)
class Rule:
    """What a challenger must show before it may take the champion's place; fixed before anything is measured.

    least_cycles: finished cycles with a seen end that both were judged on. sure: share of draws in which it costs less.
    cov80: the band in which its 80 % interval must cover. late_margin: by how much its late rate may exceed.
    """

    least_cycles: int = 20
    sure: float = 0.9
    cov80: tuple[float, float] = (0.72, 0.92)
    late_margin: float = 0.0


def declared_rule(conn: psycopg.Connection, tenant_id: int) -> Rule:
    """Return the rule that the tenant's declaration fixes under [promotion], else the usual one."""
    stands = declarations.latest(conn, tenant_id)
    said = stands.content.get("promotion") if stands else None
    if not said:
        return Rule()
    low, high = said["cov80"]
    return Rule(said["least_cycles"], said["sure"], (low, high), said["late_margin"])


@dataclass(frozen=True)
class Criterion:
    """One line of the verdict: what was asked, whether it was met, and the numbers."""

    name: str
    met: bool
    says: str


@dataclass(frozen=True)
class Comparison:
    """Hold a comparison: scores and replays of both, how sure the difference is, and the verdict by the rule.

    snapshots: how many both were judged on. left_out: how many only one of them may be judged on.
    cost_difference: challenger less champion, per cycle, in the declared unit; low and high hold 90 % of the draws.
    """

    champion: str
    challenger: str
    snapshots: int
    left_out: int
    scores: dict[str, list[Score]]
    outcomes: dict[str, Outcome]
    cheaper_share: float
    cost_difference: float
    cost_low: float
    cost_high: float
    rule: Rule
    criteria: list[Criterion]

    @property
    def promote(self) -> bool:
        """Whether the rule lets the challenger take over."""
        return all(criterion.met for criterion in self.criteria)


def compare(
    record: Record,
    champion: Contender,
    challenger: Contender,
    rule: Rule | None = None,
    *,
    at: list[float] | None = None,
    draws: int = DRAWS,
    progress: Progress | None = None,
    crew: Crew = INLINE,
) -> Comparison:
    """Return how a challenger does against the champion, and whether the rule lets it take over.

    A crew fits and forecasts; the leak check stays here, for it asks whether this very process looks ahead.
    """
    rule = rule or Rule()
    days = origins(record) if at is None else at
    both = [backtest(record, one, days, progress=progress, crew=crew) for one in (champion, challenger)]
    shared = np.intersect1d(both[0].rows, both[1].rows)
    left_out = len(np.union1d(both[0].rows, both[1].rows)) - shared.size
    one, other = (said.take(np.isin(said.rows, shared)) for said in both)
    judged = [scores.judge(record, said) for said in (one, other)]
    table = [scores.scores(record, each) for each in judged]
    prompted = [replay.replay(record, said) for said in (one, other)]
    names = (f"champion {champion.name}", f"challenger {challenger.name}")
    outcomes = [replay.outcome(record, name, each) for name, each in zip(names, prompted, strict=True)]
    costs = (record.slot.cost_early, record.slot.cost_late)
    difference = prompted[1].cost(*costs) - prompted[0].cost(*costs)
    unit = record.cycles.unit_id[prompted[0].cycle]
    drawn = drawn_means(difference, prompted[0].weight, unit, draws)
    sure = float(np.mean(drawn < 0)) if drawn.size else 0.0
    looked = leak.leaks(record, challenger, days)
    criteria = verdict(rule, outcomes, table[1], sure, looked)
    return Comparison(
        champion=champion.name,
        challenger=challenger.name,
        snapshots=int(shared.size),
        left_out=int(left_out),
        scores=dict(zip(names, table, strict=True)),
        outcomes=dict(zip(names, outcomes, strict=True)),
        cheaper_share=sure,
        cost_difference=outcomes[1].cost - outcomes[0].cost,
        cost_low=float(np.quantile(drawn, 0.05)) if drawn.size else float("nan"),
        cost_high=float(np.quantile(drawn, 0.95)) if drawn.size else float("nan"),
        rule=rule,
        criteria=criteria,
    )


def drawn_means(
    difference: Array, weight: Array, unit: np.ndarray[tuple[int], np.dtype[np.int64]], draws: int
) -> Array:
    """Return the weighted mean difference in each of `draws` samples of units, (draws,); empty without cycles."""
    if not difference.size:
        return np.empty(0)
    _, place = np.unique(unit, return_inverse=True)
    count = int(place.max()) + 1
    total = np.bincount(place, weight * difference, count)
    mass = np.bincount(place, weight, count)
    rng = np.random.default_rng(SEED)
    times = rng.multinomial(count, np.full(count, 1.0 / count), size=draws).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray((times @ total) / np.maximum(times @ mass, 1e-12))


def verdict(
    rule: Rule, outcomes: list[Outcome], challenger: list[Score], sure: float, leaks: list[str]
) -> list[Criterion]:
    """Return each criterion of the rule with whether it was met."""
    champion, other = outcomes
    cov = next((score.cov80 for score in challenger if score.group == "all"), float("nan"))
    low, high = rule.cov80
    return [
        Criterion(
            "enough cycles",
            other.cycles >= rule.least_cycles,
            f"{other.cycles} cycles with a seen end; the rule wants {rule.least_cycles}",
        ),
        Criterion(
            "costs less",
            sure >= rule.sure,
            f"{sure:.0%} of draws; the rule wants {rule.sure:.0%}"
            f" ({other.cost:.3g} against {champion.cost:.3g} per cycle)"
            if other.cycles
            else f"{UNJUDGED}; the rule wants {rule.sure:.0%} of draws",
        ),
        Criterion(
            "covers honestly",
            bool(low <= cov <= high),
            f"{UNJUDGED if isnan(cov) else f'its 80 % interval held {cov:.0%} of the ends'};"
            f" the rule wants {low:.0%} to {high:.0%}",
        ),
        Criterion(
            "not later",
            bool(other.late_rate <= champion.late_rate + rule.late_margin),
            f"late in {other.late_rate:.1%} of cycles, the champion in {champion.late_rate:.1%}"
            if other.cycles
            else UNJUDGED,
        ),
        Criterion("no leak", not leaks, leaks[0] if leaks else "another future changes nothing that it says"),
    ]
