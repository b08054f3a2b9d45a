"""The leak check: whatever arrives after a day must change nothing that a model would have said up to it."""

from dataclasses import replace

import numpy as np

from gateway.bench.backtest import backtest
from gateway.bench.contender import Contender
from gateway.bench.record import Record

SEED = 20_260_101
LOOKED_AT = (0.1, 0.5, 0.9)


def leaks(record: Record, contender: Contender, origins: list[float], *, seed: int = SEED) -> list[str]:
    """Return what a contender says differently up to the middle origin once the future is another one; empty is good.

    The other future: labels that arrive later are shuffled among their cycles and say the opposite, snapshots made
    later are shuffled and doubled. Everything that had arrived by then stays.
    """
    day = origins[len(origins) // 2] if origins else 0.0
    known = [each for each in origins if each <= day] or [day]
    before = backtest(record, contender, known, grid=LOOKED_AT)
    after = backtest(other_future(record, day, seed), contender, known, grid=LOOKED_AT)
    had = {int(record.snapshots.forecast_id[row]): i for i, row in enumerate(before.rows)}
    found = []
    for i, row in enumerate(after.rows):
        if record.snapshots.made_d[row] > day:
            continue
        j = had[int(record.snapshots.forecast_id[row])]
        if not np.array_equal(before.eol_d[j], after.eol_d[i], equal_nan=True):
            found.append(
                f"forecast {record.snapshots.forecast_id[row]} of {record.date(record.snapshots.made_d[row]):%Y-%m-%d}"
                f" says another date when what arrives after {record.date(day):%Y-%m-%d} is changed"
            )
    return found


def other_future(record: Record, day: float, seed: int = SEED) -> Record:
    """Return the record with everything that arrived after a day replaced by something else."""
    rng = np.random.default_rng(seed)
    cycles, snapshots = record.cycles, record.snapshots
    late = np.flatnonzero(cycles.recorded_d > day)
    labels = list(cycles.labels)
    for place, source in zip(late, rng.permutation(late), strict=True):
        label = cycles.labels[source]
        labels[place] = None if label is None else _opposite(dict(label))
    after = np.flatnonzero(snapshots.made_d > day)
    inputs = list(snapshots.inputs)
    for place, source in zip(after, rng.permutation(after), strict=True):
        inputs[place] = {key: _doubled(value) for key, value in snapshots.inputs[source].items()}
    recorded = cycles.recorded_d.copy()
    moved = np.array([place for place in late if labels[place] is not None], dtype=np.int64)
    recorded[late] = np.inf
    recorded[moved] = day + rng.uniform(0.1, 30.0, moved.size)
    return replace(
        record,
        cycles=replace(cycles, labels=tuple(labels), recorded_d=recorded),
        snapshots=replace(snapshots, inputs=tuple(inputs)),
    )


def _opposite(label: dict[str, object]) -> dict[str, object]:
    return {key: _doubled(value) for key, value in label.items()} | {
        "censored": not label.get("censored"),
        "witnessed": True,
    }


def _doubled(value: object) -> object:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return [_doubled(each) for each in value]
    return 2.0 * value if isinstance(value, int | float) else value
