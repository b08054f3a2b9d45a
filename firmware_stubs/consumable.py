"""One slot and the part in it, with the true wear that nobody sees."""

from dataclasses import dataclass
from math import gamma
from typing import Any

import numpy as np

SHAPE = 11.0  # of the Weibull distribution of lives: parts of one kind differ by about 11 %
CLEAN_PA = 40.0  # pressure drop of a new part at full flow
WORST = 1.5  # wear beyond which the pressure drop no longer grows: air finds its way round


@dataclass(frozen=True, slots=True)
class SlotSpec:
    """What the maker built: a slot's code, rated life and what wears its part besides time."""

    code: str
    life_h: float = 450.0  # rated running hours
    load_ref: float | None = None  # PM2.5 (ug/m3) at which that holds; None: dust does not matter
    part: str | None = None  # fitted at the factory
    senses_pressure: bool = False  # the unit's pressure sensor sits across this slot


class Consumable:
    """The part in a slot; each part's true life is drawn when it is fitted, and kept from everyone."""

    def __init__(self, spec: SlotSpec, rng: np.random.Generator) -> None:
        self.spec = spec
        self._rng = rng
        self.fit(spec.part)

    def fit(self, part: str | None) -> None:
        """Put a new part in."""
        self.part = part
        self.used_h = 0.0
        self.exposure_h = 0.0
        self.life_h = self.spec.life_h * float(self._rng.weibull(SHAPE)) / gamma(1 + 1 / SHAPE)

    def run(self, hours: float, pm25: float) -> None:
        """Wear it by running hours in air of this dust; never less than before."""
        self.used_h += hours
        self.exposure_h += hours if self.spec.load_ref is None else hours * pm25 / self.spec.load_ref

    def memory(self) -> dict[str, Any]:
        """Return, for JSON, the part and its wear."""
        return {
            "part": self.part,
            "used_h": self.used_h,
            "exposure_h": self.exposure_h,
            "life_h": self.life_h,
            "rng": self._rng.bit_generator.state,
        }

    def recall(self, memory: dict[str, Any]) -> None:
        """Go on from a memory."""
        self.part, self.life_h = memory["part"], memory["life_h"]
        self.used_h, self.exposure_h = memory["used_h"], memory["exposure_h"]
        self._rng.bit_generator.state = memory["rng"]

    @property
    def wear(self) -> float:
        """The true wear: 0 new, 1 at the end of life."""
        return self.exposure_h / self.life_h

    @property
    def left_pct(self) -> int:
        """What the unit itself believes is left: rated hours less hours run, whatever the dust."""
        return round(100 * max(0.0, 1 - self.used_h / self.spec.life_h))

    def pressure_drop(self, flow: float) -> float:
        """Return the pressure drop in Pa at a share of full flow: nearly flat for most of a life, then a knee.

        Four times the clean one at the end of life.
        """
        wear = min(self.wear, WORST)
        return CLEAN_PA * float(flow**1.6) * (1 + 0.35 * wear + 2.65 * wear**5)
