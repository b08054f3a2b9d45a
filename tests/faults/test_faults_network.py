"""The network between gateway and broker is slow, stalls, breaks, or is there in name only."""

import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults.machinery import Mosquitto, wait_for
from tests.faults.proxy import Proxy
from tests.faults.publishing import Publishing
from tests.faults.rig import Rig
from tests.faults.tap import Outstanding

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(900),
    pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH"),
]
WINDOW = 40
LOST = "the connection to the broker is lost"


@pytest.fixture
def proxy(broker: Mosquitto) -> Iterator[Proxy]:
    with Proxy(broker.port) as own:
        yield own


def delay(proxy: Proxy, publishing: Publishing) -> None:
    proxy.delay_s = 0.25
    publishing.hold(3)
    proxy.delay_s = 0


def throttle(proxy: Proxy, publishing: Publishing) -> None:
    proxy.bytes_a_second = 4_000
    publishing.hold(4)
    proxy.bytes_a_second = 0


def stall(proxy: Proxy, publishing: Publishing) -> None:
    proxy.stall()
    publishing.hold(3)
    proxy.resume()


def reset(proxy: Proxy, publishing: Publishing) -> None:
    for _ in range(4):
        proxy.reset()
        publishing.hold(1)


def cut(proxy: Proxy, publishing: Publishing) -> None:
    proxy.refuses = True
    proxy.cut()
    publishing.hold(3)
    proxy.refuses = False


LONG = pytest.mark.long


@pytest.mark.parametrize("spoil", [stall, reset, *(pytest.param(each, marks=LONG) for each in (delay, throttle, cut))])
def test_network_between_gateway_and_broker(spoil: Callable[[Proxy, Publishing], None], rig: Rig, proxy: Proxy) -> None:
    """Whatever becomes of the connection, every reading is stored once."""
    with rig.serving(url=proxy.url), rig.publishing() as publishing:
        publishing.moves_on(10)
        spoil(proxy, publishing)
        took = publishing.recovered()
        publishing.finish()
    rig.note(f"network: {spoil.__name__}, between gateway and broker", rig.clean(), recovered_s=round(took, 1))


@pytest.mark.long
@pytest.mark.parametrize("spoil", [reset, cut])
def test_network_between_units_and_broker(spoil: Callable[[Proxy, Publishing], None], rig: Rig, proxy: Proxy) -> None:
    """The same on the units' side: what was under way comes again, and is known."""
    with rig.serving(), rig.publishing(url=proxy.url) as publishing:
        publishing.moves_on(10)
        spoil(proxy, publishing)
        took = publishing.recovered()
        publishing.finish()
    rig.note(f"network: {spoil.__name__}, between units and broker", rig.clean(), recovered_s=round(took, 1))


def test_no_more_is_under_way_than_the_window(rig: Rig, proxy: Proxy) -> None:
    """A gateway that stands still is sent its window and no more, counted on the wire; then all of it is stored.

    What Mosquitto 2.0.11 sends at the first acknowledgements after that is more than the window: the gateway's own
    buffer is bounded, and the figure is told.
    """
    tap = Outstanding()
    proxy.heard = tap.hear
    with rig.serving(url=proxy.url, window=WINDOW) as gateway, rig.publishing() as publishing:
        publishing.moves_on(10)
        gateway.tell(signal.SIGSTOP)
        publishing.hold(6)
        under_way = tap.most
        gateway.tell(signal.SIGCONT)
        took = publishing.recovered()
        publishing.finish()
    assert under_way == WINDOW
    seen = {"under_way": under_way, "afterwards_at_most": tap.most, "recovered_s": round(took, 1)}
    rig.note("gateway stands still for 6 s, with a window of 40", rig.clean(), **seen)


def test_half_open_connection_is_noticed(rig: Rig, proxy: Proxy, long: bool) -> None:
    """A connection that is open and says nothing any more is given up after the keepalive, and made anew."""
    keepalive = 30 if long else 4
    with (
        rig.serving(url=proxy.url, WEARWELL_TEST_KEEPALIVE=str(keepalive)) as gateway,
        rig.publishing() as publishing,
    ):
        publishing.moves_on(10)
        proxy.stall()
        began = time.monotonic()
        wait_for(lambda: gateway.said(LOST), 4 * keepalive + 60)
        noticed = time.monotonic() - began
        took = publishing.recovered()
        publishing.finish()
    seen = {"keepalive_s": keepalive, "noticed_s": round(noticed, 1), "recovered_s": round(took, 1)}
    rig.note("network: half-open", rig.clean(), **seen)
