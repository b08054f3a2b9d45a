"""Units at a broker, a bridge, a log, and the gateway behind it, killed at each point: the ledger stays clean."""

import pytest

from tests.faults.bridge import Bridge
from tests.faults.log import Log
from tests.faults.machinery import Mosquitto, wait_for
from tests.faults.rig import Rig
from tests.faults.victim import POINTS

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(600),
    pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH"),
]


def test_killed_behind_a_log_the_gateway_loses_nothing(rig: Rig, log: Log) -> None:
    """Readings and receipts go the long way; the gateway dies at each point, once, under load."""
    with Bridge(rig.broker.port, log), rig.gateway(**log.env) as gateway, rig.publishing() as publishing:
        for point in POINTS:
            gateway.start(point=point, nth=3)
            wait_for(gateway.died, 120)
            gateway.kill()
        gateway.start()
        took = publishing.recovered()
        publishing.finish()
    rig.note("behind a Kafka-protocol log: killed at each point", rig.clean(), recovered_s=round(took, 1))
