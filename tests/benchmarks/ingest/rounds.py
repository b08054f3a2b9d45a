"""Rounds: the same messages drained by everybody in turn, so that whatever else the machine does meets them alike."""

import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from tests.benchmarks.ingest.bare import Bare
from tests.benchmarks.ingest.contestants import MosquittoSub, Wearwell
from tests.benchmarks.ingest.ground import Ground, checkpoint, readings
from tests.benchmarks.ingest.load import Fleet
from tests.benchmarks.ingest.peers import Peer
from tests.benchmarks.ingest.publisher import Publisher

Say = Callable[[str], None]


class Shape(NamedTuple):
    """What one message holds: samples, values of each."""

    samples: int
    values: int

    @property
    def readings(self) -> int:
        return self.samples * self.values


ONE, TEN = Shape(1, 1), Shape(5, 2)


class Round(NamedTuple):
    """In messages per second; `copy_rows_per_s` in rows, `peak_mib` of all the gateway's processes."""

    mosquitto_sub: float
    wearwell: float
    copy_rows_per_s: float
    peak_mib: float
    peers: dict[str, float]


class Rounds:
    """Everybody's sessions at one broker, filled together and drained one after another."""

    def __init__(self, ground: Ground, units: int, peers: list[Peer], say: Say) -> None:
        self.ground, self.say, self.peers = ground, say, peers
        self.fleet = Fleet(units)
        self.bare = Bare(ground)
        self.sub, self.wearwell = MosquittoSub(ground), Wearwell(ground)
        for each in (self.sub, self.wearwell, *peers):
            each.subscribe()

    def play(self, shape: Shape, messages: int, *, peers: bool) -> Round:
        """Publish messages while nobody listens, then let each contestant drain its own copy of them."""
        sent = self.fleet.messages(messages, *shape)
        self.say(f"  {messages:,} messages of {shape.readings}: publishing")
        with Publisher(self.ground.port) as publisher:
            publisher.publish(sent)
        self.say("  mosquitto_sub")
        received = self.sub.drain(messages)
        self.say("  wearwell")
        before, since = readings(self.ground.dsn), datetime.now(UTC)
        checkpoint(self.ground.dsn)
        stored = self.wearwell.drain(messages * shape.readings)
        if readings(self.ground.dsn) - before != messages * shape.readings:
            raise AssertionError("what the gateway says it stored is not in the store")
        self.say("  bare COPY")
        rows, took = self.bare.copy(since)
        per_s = messages / stored.seconds
        self.say(
            f"    messages/s: mosquitto_sub {messages / received.seconds:,.0f}, wearwell {per_s:,.0f};"
            f" rows/s: wearwell {per_s * shape.readings:,.0f}, COPY {rows / took:,.0f}"
        )
        told: dict[str, float] = {}
        for peer in self.peers if peers else ():
            self.say(f"  {peer.name}")
            checkpoint(self.ground.dsn)
            told[peer.name] = messages / peer.drain(messages, messages * shape.readings).seconds
        return Round(messages / received.seconds, per_s, rows / took, stored.peak_mib, told)


def median(rounds: list[Round], shape: Shape) -> dict[str, object]:
    """Return medians over rounds; ratios are each round's own before, since the machine changes between them."""
    middle = statistics.median
    rows = shape.readings
    shared = [one for one in rounds if one.peers]
    return {
        "stored_per_s": middle([one.wearwell for one in rounds]),
        "mosquitto_sub_per_s": middle([one.mosquitto_sub for one in rounds]),
        "ratio": middle([one.wearwell / one.mosquitto_sub for one in rounds]),
        "rows_per_s": middle([one.wearwell * rows for one in rounds]),
        "copy_rows_per_s": middle([one.copy_rows_per_s for one in rounds]),
        "copy_ratio": middle([one.wearwell * rows / one.copy_rows_per_s for one in rounds]),
        "peak_mib": max(one.peak_mib for one in rounds),
        "peers": {
            name: middle([one.peers[name] / one.wearwell for one in shared])
            for name in (shared[0].peers if shared else ())
        },
    }
