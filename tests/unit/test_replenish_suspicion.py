"""What is not believed of a part's indicator: neither its levels nor what it reads, now or on the way."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from gateway.replenish import features, way
from gateway.replenish.suspicion import Suspicion
from tests.bench_field import SLOT

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_part_whose_levels_are_not_believed_has_read_nothing() -> None:
    """Before a cleaning or under a sensor that lies, hits, reads and looks are gone; the other part's stay."""
    count = len(way.declared(SLOT).levels)
    row = {"hits": [5.0] * count, "reads": [9.0, 0.2, 0.2, 0.2, 0.1]}
    looks = np.array([[4.0, 0.1, 0.1, 0.1, 0.05]])
    seen = replace(features.recalled(SLOT, [row, row], AT), unit_ids=[1, 2], looks=[looks, looks])
    suspicion = Suspicion.none(seen)
    suspicion.levels[0] = True
    believed = suspicion.believed()
    assert believed.batch.hits is not None
    assert believed.batch.reads is not None
    for table in (believed.batch.hits, believed.batch.reads):
        assert [0, table.shape[1]] == np.isfinite(table).sum(axis=1).tolist()
    assert [0, 1] == [len(table) for table in believed.looks]
