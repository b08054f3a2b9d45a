"""From publishing to the receipt: at a quarter and at three quarters of what the gateway stores while it is fed."""

import json
import statistics
import time
from bisect import bisect_left
from collections.abc import Callable

from tests.benchmarks.ingest.contestants import Wearwell
from tests.benchmarks.ingest.ground import Ground
from tests.benchmarks.ingest.listener import Listener
from tests.benchmarks.ingest.load import Fleet, Message
from tests.benchmarks.ingest.publisher import Publisher
from tests.faults.machinery import wait_for

PATIENCE_S = 120.0
SHARES = {"quarter": 0.25, "three_quarters": 0.75}


def measure(
    ground: Ground, fleet: Fleet, messages: int, seconds: float, say: Callable[[str], None]
) -> dict[str, object]:
    """Return the rate stored while everybody runs, and p50 and p99 in milliseconds at two shares of it."""
    wearwell = Wearwell(ground)
    found: dict[str, object] = {}
    with wearwell.running(), Listener(ground.port) as listener, Publisher(ground.port, "bench-live") as publisher:

        def run(count: int, per_s: float | None) -> tuple[list[float], float]:
            sent = fleet.messages(count, 1, 1)
            at = publisher.publish(sent, per_s)
            wait_for(lambda: _safe(listener, sent), PATIENCE_S)
            waits = _waits(listener, sent, at)
            return waits, count / (max(when + wait for when, wait in zip(at, waits, strict=True)) - at[0])

        say("  everybody at once, as fast as it goes")
        run(fleet.units, None)  # each unit's first message opens its session
        capacity = run(messages, None)[1]
        found["live_per_s"] = capacity
        for name, share in SHARES.items():
            rate = capacity * share
            say(f"  {share:.0%} of {capacity:,.0f} messages/s for {seconds:.0f} s")
            time.sleep(1.0)
            waits = run(round(rate * seconds), rate)[0]
            cuts = statistics.quantiles(waits, n=100)
            found[name] = {"per_s": rate, "p50": 1_000 * cuts[49], "p99": 1_000 * cuts[98]}
    return found


def _sequence(message: Message) -> tuple[str, int]:
    return message.topic.split("/")[2], int(json.loads(message.payload)["q"])


def _safe(listener: Listener, sent: list[Message]) -> bool:
    last = dict(_sequence(message) for message in sent[-1_000:])
    return all((heard := listener.heard.get(device)) and heard[-1][1] >= seq for device, seq in last.items())


def _waits(listener: Listener, sent: list[Message], at: list[float]) -> list[float]:
    """Return, for each message, how long it took until its unit heard that it is safe, in seconds."""
    through = {device: [seq for _, seq in told] for device, told in listener.heard.items()}
    found = []
    for message, when in zip(sent, at, strict=True):
        device, seq = _sequence(message)
        found.append(listener.heard[device][bisect_left(through[device], seq)][0] - when)
    return found
