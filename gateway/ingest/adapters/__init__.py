"""Adapters: one file for each family of units; a pure function from an envelope to what it says.

The topic's shape chooses the adapter (topics.py); a unit's product model names the same one.
"""

from collections.abc import Callable

from gateway.ingest.adapters import dyson, wearwell
from gateway.ingest.content import Content
from gateway.ingest.envelope import Envelope
from gateway.ingest.topics import Address

Adapter = Callable[[Address, Envelope], list[Content]]

ADAPTERS: dict[str, Adapter] = {"wearwell": wearwell.read, "dyson": dyson.read}
