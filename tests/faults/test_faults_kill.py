"""Gateways are killed, at seeded moments; the ledger stays clean: nothing lost, doubled, invented or altered."""

import random
import signal

import pytest

from tests.faults.machinery import Mosquitto, wait_for
from tests.faults.rig import Rig
from tests.faults.victim import POINTS

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(1_800),
    pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH"),
]


def test_gateway_killed_at_seeded_points(rig: Rig, seeds: int) -> None:
    """kill -9 after receiving, before commit, between commit and acknowledgement, and after it."""
    with rig.serving() as gateway:
        gateway.kill()
        with rig.publishing() as publishing:
            for seed in range(seeds):
                chance = random.Random(seed)  # seeded, so that a run can be repeated
                gateway.start(point=POINTS[seed % len(POINTS)], nth=chance.randint(1, 4))
                wait_for(gateway.died, 60)
                assert -signal.SIGKILL == gateway.kill()
            gateway.start()
            took = publishing.recovered()
            publishing.finish()
            gateway.kill(signal.SIGTERM)
    rig.note("gateway killed mid-batch", rig.clean(), kills=seeds, recovered_s=round(took, 1))


def test_two_gateways_share_the_work(rig: Rig) -> None:
    """Two processes read the same messages, one is killed and comes back: still once each."""
    with rig.serving() as one, rig.serving(client="ingest-2"), rig.publishing() as publishing:
        publishing.moves_on(30)
        one.kill()
        publishing.moves_on(30)
        one.start()
        publishing.moves_on(60)
        publishing.finish()
    rig.note("two gateways read the same topics, one is killed", rig.clean())
