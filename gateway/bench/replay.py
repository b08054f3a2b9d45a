"""What would have been said to owners, and what it would have cost: a backtest replayed as prompts.

An owner is asked on the order date, as it stood; at the end of life at the latest, because then the unit shows it. The
part is fitted when it arrives. Days of life thrown away and days run past the end have their declared costs.
"""

from dataclasses import dataclass

import numpy as np

from gateway.bench import censoring
from gateway.bench.backtest import Backtest
from gateway.bench.record import Array, Indices, Marks, Record


@dataclass(frozen=True)
class Prompted:
    """Hold what became of c cycles whose end was seen.

    cycle: (c,) places in Record.cycles. prompt_d: (c,) day of the prompt. early_d, late_d: (c,) days of life thrown
    away, and run past the end until the part arrived. missed: (c,) True where no prompt came before the end.
    weight: (c,) cycles that each stands for.
    """

    cycle: Indices
    prompt_d: Array
    early_d: Array
    late_d: Array
    missed: Marks
    weight: Array

    def cost(self, early: float, late: float) -> Array:
        """Return the cost of each cycle, (c,), in the unit in which a day costs `early` and `late`."""
        return early * self.early_d + late * self.late_d


@dataclass(frozen=True)
class Outcome:
    """Hold a replay in numbers.

    cycles: how many were judged. prompts: how many came before the end. early_d: mean days of life thrown away, and
    late_d run past the end, per cycle. late_rate: share without a prompt before the end. stock_out_rate: share whose
    part was not there at the end. cost: mean per cycle in the declared unit; money_minor: in minor units or None.
    """

    contender: str
    cycles: int
    prompts: int
    early_d: float
    late_d: float
    late_rate: float
    stock_out_rate: float
    cost: float
    money_minor: int | None


def replay(record: Record, said: Backtest, delivery_d: Array | float | None = None) -> Prompted:
    """Return what owners would have been told by a backtest; `delivery_d` overrides how long a part takes, in days."""
    takes = record.cycles.delivery_d if delivery_d is None else np.broadcast_to(delivery_d, len(record.cycles))
    prompt = np.full(len(record.cycles), np.inf)
    cycle, made = record.snapshots.cycle[said.rows], record.snapshots.made_d[said.rows]
    order = np.lexsort((made, cycle))
    following = np.full(said.rows.size, np.inf)
    same = cycle[order][1:] == cycle[order][:-1]
    following[order[:-1][same]] = made[order[1:][same]]
    asked = np.maximum(made, said.order_d - takes[cycle])
    standing = asked < following  # it falls due before the next forecast takes its place
    np.fmin.at(prompt, cycle[standing], asked[standing])
    judged = np.intersect1d(np.unique(cycle), np.flatnonzero(record.ended))
    judged = judged[_watched(record, said, judged)]
    end = record.end_d[judged]
    missed = prompt[judged] >= end
    when = np.minimum(prompt[judged], end)
    arrives = when + takes[judged]
    early, late = np.maximum(end - arrives, 0.0), np.maximum(arrives - end, 0.0)
    return Prompted(judged, when, early, late, missed, censoring.weights(record)[judged])


def outcome(record: Record, contender: str, prompted: Prompted, costs: tuple[float, float] | None = None) -> Outcome:
    """Return a replay in numbers; `costs` of a day early and late, else those declared."""
    early, late = costs or (record.slot.cost_early, record.slot.cost_late)
    if not prompted.cycle.size:
        nothing = float("nan")
        return Outcome(contender, 0, 0, nothing, nothing, nothing, nothing, nothing, None)
    share = prompted.weight / prompted.weight.sum()
    cost = float(share @ prompted.cost(early, late))
    return Outcome(
        contender=contender,
        cycles=int(prompted.cycle.size),
        prompts=int((~prompted.missed).sum()),
        early_d=float(share @ prompted.early_d),
        late_d=float(share @ prompted.late_d),
        late_rate=float(share @ prompted.missed),
        stock_out_rate=float(share @ (prompted.late_d > 0)),
        cost=cost,
        money_minor=minor(record, cost, early),
    )


def minor(record: Record, cost: float, early: float) -> int | None:
    """Return a cost in minor units: a day of life thrown away costs a day's share of the part's price."""
    if record.money is None:
        return None
    return round(cost / early * record.money.price_minor / record.slot.life_d)


def _watched(record: Record, said: Backtest, cycles: Indices) -> Marks:
    """Tell which cycles had a forecast before their end: the others ended before the first origin."""
    first = np.full(len(record.cycles), np.inf)
    np.fmin.at(first, record.snapshots.cycle[said.rows], record.snapshots.made_d[said.rows])
    return np.asarray(first[cycles] < record.end_d[cycles])
