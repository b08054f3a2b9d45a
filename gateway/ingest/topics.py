"""Topics: who speaks, about what, and which adapter reads it. The topic's identity wins over any in the payload."""

import re
from functools import lru_cache
from typing import NamedTuple

from gateway.ingest.rejection import UnknownTopic

DEVICE = r"(?P<device>[A-Za-z0-9._-]{1,64})"

# One shape of topic for each adapter. A unit behind an adapter is enrolled under the name its topics carry:
# for Dyson, the serial.
SHAPES = (
    ("wearwell", re.compile(rf"ww/v1/{DEVICE}/(?P<kind>tlm|state|evt|up/reply)")),
    (
        "dyson",
        re.compile(rf"[A-Za-z0-9]{{2,8}}/{DEVICE}/status(/(?P<kind>current|connection|faults|scheduler|summary))?"),
    ),
)


class Address(NamedTuple):
    """Where a message came from: adapter, device name, and the kind of message ('' where the topic names none)."""

    adapter: str
    device: str
    kind: str


@lru_cache(maxsize=65_536)
def parse(topic: str) -> Address:
    """Return who speaks on a topic; raises UnknownTopic."""
    for adapter, shape in SHAPES:
        if found := shape.fullmatch(topic):
            return Address(adapter, found["device"], found["kind"] or "")
    raise UnknownTopic(repr(topic[:200]))


def spread(topic: str) -> int:
    """Return a number for whoever speaks on a topic: always the same while this process runs, and spread evenly."""
    try:
        return _spread(topic)
    except UnknownTopic:
        return 0


@lru_cache(maxsize=65_536)  # what raises is not remembered: topics that nobody reads are of any length and number
def _spread(topic: str) -> int:
    return hash(parse(topic).device)


def receipt(device: str) -> str:
    """Return the topic on which a unit hears what is safe."""
    return f"ww/v1/{device}/dn/receipt"


def command(device: str) -> str:
    """Return the topic on which a unit hears what is asked of it."""
    return f"ww/v1/{device}/dn/cmd"
