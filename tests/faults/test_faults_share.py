"""Several ingest processes share one subscription: one is added, killed, drained, stopped, and nothing is lost."""

import signal

import pytest

from tests.faults.machinery import Gateway, Mosquitto, wait_for
from tests.faults.publishing import Publishing
from tests.faults.rig import Rig
from tests.faults.victim import DRAIN

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(600),
    pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH"),
]
SHARED = {"WEARWELL_MQTT_SUBSCRIPTIONS": "$share/wearwell/ww/v1/+/tlm,ww/v1/+/up/#"}


def stored(gateway: Gateway) -> int:
    return sum(line["stored"] for line in gateway.said("batch"))


def takes_part(gateway: Gateway, publishing: Publishing) -> None:
    """Wait until a process gets its share."""
    before = stored(gateway)
    wait_for(lambda: stored(gateway) > before, 60)
    publishing.moves_on()


def test_members_come_and_go(rig: Rig) -> None:
    """One is added, one is killed and its session drained, one is told to stop and comes back: all under load."""
    with (
        rig.serving(client="share-1", **SHARED) as one,
        rig.serving(client="share-2", **SHARED) as two,
        rig.publishing() as publishing,
    ):
        takes_part(one, publishing)
        takes_part(two, publishing)
        with rig.serving(client="share-3", **SHARED) as three:
            takes_part(three, publishing)
            three.kill()  # the broker goes on keeping its share for it
            publishing.hold(2)
            three.start(point=DRAIN)
            wait_for(three.died, 120)
            drained = stored(three)
            assert 0 == three.kill(), three.log.read_text()
            assert [True] == [line["session_ended"] for line in three.said("drained")]
        publishing.moves_on(30)
        assert 0 == two.kill(signal.SIGTERM)
        publishing.hold(1)
        two.start()
        took = publishing.recovered()
        publishing.finish()
        sessions = [line["session_present"] for line in two.said("connected to the broker")]
    assert [False, True] == sessions
    found = rig.clean()
    assert found.stored <= stored(one) + stored(two) + drained
    rig.note("a shared subscription: one added, killed, drained, stopped", found, recovered_s=round(took, 1))


@pytest.mark.long
def test_a_drained_session_is_gone(rig: Rig) -> None:
    """What the broker held is stored, nothing comes after it, and the same client id begins anew."""
    with rig.serving() as gateway, rig.publishing() as publishing:
        publishing.moves_on(10)
        gateway.kill()
        publishing.hold(1)
        gateway.start(point=DRAIN)  # the fleet goes on publishing: that is for others
        wait_for(gateway.died, 120)
        assert 0 == gateway.kill(), gateway.log.read_text()
        assert stored(gateway) > 0
        gateway.start()
        publishing.recovered()
        publishing.finish()
        sessions = [line["session_present"] for line in gateway.said("connected to the broker")]
    assert [False, True, False, False] == sessions  # at first, to drain, to end the session, and anew
    rig.note("a session drained under load, then begun anew", rig.clean())
