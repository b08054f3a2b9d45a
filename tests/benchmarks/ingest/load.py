"""What the units of a benchmark publish, made beforehand: message after message, each new and in order for its unit.

Units take turns, as a fleet's do: message i is unit i mod `units`. Values are what a purifier says, a counter and a
gauge, so that what is stored is checked, marked and rolled up as in the field.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

STEP_S = 1.0  # seconds between two samples of a unit
DAYS = 20  # how long ago the first sample was


class Message(NamedTuple):
    """One message to publish."""

    topic: str
    payload: bytes


def device(unit: int) -> str:
    """Return the name under which a unit is enrolled."""
    return f"bench.{unit:06}"


class Fleet:
    """Units that go on where they stopped."""

    def __init__(self, units: int) -> None:
        self.units = units
        self.since = (datetime.now(UTC) - timedelta(days=DAYS)).replace(microsecond=0)
        self.told = 0  # messages
        self.samples = [0] * units  # by unit

    def messages(self, count: int, samples: int, values: int) -> list[Message]:
        """Return the next messages: each of so many samples of one value, or of two."""
        return [self._message(samples, values) for _ in range(count)]

    def _message(self, samples: int, values: int) -> Message:
        unit = self.told % self.units
        before = self.samples[unit]
        self.told += 1
        self.samples[unit] += samples
        readings: list[tuple[float, dict[str, float]]] = []
        for k in range(samples):
            said = {"runtime": round((before + k) * STEP_S / 3600, 4)}
            if values > 1:
                said["pm25"] = (unit + before + k) % 50 + 0.5
            readings.append((k * STEP_S, said))
        start = self.since.timestamp() + before * STEP_S
        told = {"v": 1, "s": 1, "q": before + 1, "t": start, "c": "synced", "r": readings}
        return Message(f"ww/v1/{device(unit)}/tlm", json.dumps(told, separators=(",", ":")).encode())
