"""Faults on request: what the network and a provider do on bad days."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Knobs:
    """What goes wrong next; counts run down to zero. Set them with a JSON object at /knobs."""

    duplicate: int = 0  # how many times more every event is delivered
    drop: int = 0  # how many events are never delivered
    reorder: int = 0  # so many events are held back, then delivered last one first
    error_after: int = 0  # how many POSTs are carried out and answer 500 all the same; the 500 is stored
    error_before: int = 0  # how many POSTs are not carried out and answer 500; the 500 is stored
    timeout_after: int = 0  # how many POSTs are carried out and never answered
    hold_s: float = 30  # how long an unanswered POST holds its connection
    path: str = "/v1/"  # the POSTs that these three are about: paths that begin so
    secrets: list[str] = field(default_factory=list)  # every event is signed with each: two during a rotation

    def set(self, wanted: dict[str, Any]) -> None:
        """Turn knobs; raises ValueError for one that is not there, or a value of another type."""
        for name, value in wanted.items():
            if name not in KINDS:
                raise ValueError(f"There is no knob {name!r}; there are {', '.join(KINDS)}.")
            setattr(self, name, KINDS[name](value))

    def said(self) -> dict[str, Any]:
        """Return how the knobs stand."""
        return dataclasses.asdict(self)

    def take(self, name: str) -> bool:
        """Use up one of a count; tell whether there was one."""
        left: int = getattr(self, name)
        setattr(self, name, max(0, left - 1))
        return left > 0


KINDS = {name: type(value) for name, value in Knobs().said().items()}
