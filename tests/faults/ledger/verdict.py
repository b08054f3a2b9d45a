"""What the comparison of a ledger with the store found."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

Mark = tuple[str, int, int]  # device, session, sequence number
SHOWN = 20  # examples of each fault; the counts are whole

FAULTS = {
    "lost": "receipted and not stored",
    "doubled": "stored more than once",
    "invented": "stored and never attempted",
    "altered": "stored with another time or other values than were sent",
    "miscounted": "units whose hourly sums are not what their own counter ran through",
    "unreported": "acknowledged by the broker, not stored, and in no gap",
    "misreported": "reported as missing and stored",
    "prompted_twice": "wear cycles with more than one prompt",
}


@dataclass
class Verdict:
    """Counts of faults, which must all be nought, with examples; then figures."""

    lost: int = 0
    doubled: int = 0
    invented: int = 0
    altered: int = 0
    miscounted: int = 0
    unreported: int = 0
    misreported: int = 0
    prompted_twice: int = 0
    examples: dict[str, list[Any]] = field(default_factory=dict)
    attempted: int = 0
    stored: int = 0
    missing: int = 0  # attempted, not stored: still in a journal
    gaps: int = 0  # open
    gaps_filled: int = 0
    gaps_given_up: int = 0  # the unit said that it has them no more
    quarantined: dict[str, int] = field(default_factory=dict)  # messages of these units by reason
    longest_silence_s: float = 0.0  # between two receipts, of whatever unit, while something was under way

    @property
    def clean(self) -> bool:
        """Say whether nothing is wrong."""
        return not any(getattr(self, fault) for fault in FAULTS)

    def add(self, fault: str, marks: Iterable[Any]) -> None:
        """Count faults of one kind, and keep the first as examples."""
        count = 0
        for mark in marks:
            shown = self.examples.setdefault(fault, [])
            if len(shown) < SHOWN:
                shown.append(mark)
            count += 1
        setattr(self, fault, getattr(self, fault) + count)

    def told(self) -> dict[str, Any]:
        """Return everything, for JSON."""
        return {"clean": self.clean} | asdict(self)

    def words(self) -> list[str]:
        """Return what a person wants to read."""
        lines = []
        for fault, says in FAULTS.items():
            shown = self.examples.get(fault)
            lines.append(f"{getattr(self, fault):>8} {fault}: {says}" + (f", such as {shown[0]}" if shown else ""))
        lines.append(f"{self.stored:>8} of {self.attempted} samples stored, {self.missing} still in a journal")
        lines.append(f"{self.gaps:>8} gaps open, {self.gaps_filled} filled, {self.gaps_given_up} given up by the unit")
        if self.quarantined:
            lines.append(f"         in quarantine: {', '.join(f'{n} {why}' for why, n in self.quarantined.items())}")
        return lines
