"""What was measured at other levels than are declared now is not known; what was measured at these is."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from gateway.bench.record import Record
from gateway.bench.whatif import Change, changed
from gateway.replenish import features
from tests.bench_field import SLOT, field, record_of

AT = datetime(2026, 1, 1, tzinfo=UTC)
HERE, THERE = replace(SLOT, levels=[50.0, 100.0, 150.0]), replace(SLOT, levels=[60.0, 110.0, 160.0])
READ = {"hits": [5.0, 9.0, None], "reads": [9.0, 0.2, 0.2, 0.2, 0.1], "looks": [[4.0, 0.1, 0.1, 0.1, 0.05]]}


def test_hits_of_as_many_other_levels_are_not_known() -> None:
    """As stored at three levels, read back at them whole, and at three others not at all."""
    kept = replace(features.recalled(HERE, [READ], AT), unit_ids=[1]).as_json()[0] | {"looks": READ["looks"]}
    again, elsewhere = features.batch_of(HERE, [kept]), features.batch_of(THERE, [kept])
    assert again.hits is not None
    assert elsewhere.hits is not None
    assert elsewhere.reads is not None
    assert (2, 0, 0) == tuple(int(np.isfinite(table).sum()) for table in (again.hits, elsewhere.hits, elsewhere.reads))
    assert (5, 0) == tuple(int(np.isfinite(features.looks_of(slot, [kept])).sum()) for slot in (HERE, THERE))
    assert 0 == int(np.isfinite(features.batch_of(replace(HERE, indicator_eol=210.0), [kept]).hits).sum())


def test_what_was_stored_before_levels_were_kept_beside_it_counts_as_before() -> None:
    """Rows of earlier builds do not say at which levels they were measured."""
    assert 2 == int(np.isfinite(features.batch_of(THERE, [READ]).hits).sum())


def test_another_threshold_reads_nothing_off_levels_that_no_longer_stand() -> None:
    """What if the end lay elsewhere: rows of a way before are not taken for crossings of today's.

    Nor are rows of earlier builds, which do not say their levels, where those were fewer.
    """
    whole = record_of(field(homes=4))
    marked = [dict(row) | {"levels": "another way"} for row in whole.snapshots.inputs]
    stale = replace(whole, snapshots=replace(whole.snapshots, inputs=tuple(marked)))

    def known(of: Record) -> int:
        hits = changed(of, Change(threshold=150.0)).batch.hits
        return 0 if hits is None else int(np.isfinite(hits).sum())

    other = [dict(row) | {"hits": [5.0, 9.0, None]} for row in whole.snapshots.inputs]
    fewer = replace(whole, snapshots=replace(whole.snapshots, inputs=tuple(other)))
    assert known(whole) > 100
    assert (0, 0) == (known(stale), known(fewer))


@pytest.mark.parametrize(("hours", "heard"), [(0.0, True), (99.0, True), (101.0, False), (5000.0, False)])
def test_a_part_that_ran_before_its_unit_was_heard_of_teaches_no_life(hours: float, heard: bool) -> None:
    """A tenth of the rated thousand hours may be unheard; beyond that how long it ran is a guess."""
    assert SLOT.life_h == 1000
    seen = replace(features.recalled(SLOT, [{"unheard_h": hours}], AT), unit_ids=[1])
    assert [heard] == seen.heard.tolist()
    assert heard == features.recalled(SLOT, seen.as_json(), AT).heard[0]
