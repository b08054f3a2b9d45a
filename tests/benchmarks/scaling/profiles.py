"""How often a unit speaks and what it says then: the two ends of what docs/protocol.md calls usual."""

import json
from typing import NamedTuple

from tests.benchmarks.ingest.load import Message, device

DAY_S = 86_400


class Profile(NamedTuple):
    """A message every `every_s` seconds of the unit's life, of so many samples of seven values each."""

    name: str
    every_s: int
    samples: int

    @property
    def readings(self) -> int:
        """Readings in a message."""
        return self.samples * VALUES

    @property
    def messages_a_day(self) -> float:
        """Messages of one unit in a day."""
        return DAY_S / self.every_s

    def message(self, unit: int, start: float) -> Message:
        """Return a unit's message whose first sample was taken at a Unix time: what the reference unit would say."""
        step = self.every_s / self.samples
        told = {"v": 1, "s": 1, "q": 1, "t": start, "c": "synced",
                "r": [[round(k * step, 3), _values(unit, k)] for k in range(self.samples)]}  # fmt: skip
        return Message(f"ww/v1/{device(unit)}/tlm", json.dumps(told, separators=(",", ":")).encode())


def _values(unit: int, k: int) -> dict[str, object]:
    return {
        "runtime": round(812.25 + k / 60, 4),
        "running": True,
        "pm25": (unit + k) % 50 + 0.5,
        "fan_rpm": 1_200 - k % 9,
        "temperature": 21.5,
        "hepa.left_pct": 41.5,
        "pressure_drop": 61.3 + k % 5,
    }


VALUES = len(_values(0, 0))
HOURLY = Profile("hourly", 3_600, 1)  # the reference unit (firmware_stubs) with a network that is there
MINUTELY = Profile("minutely", 600, 10)  # a sample a minute, sent ten at a time
PROFILES = (HOURLY, MINUTELY)
