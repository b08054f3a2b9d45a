"""What a look at a deployment found."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `remedy` says what to do and is empty when all is well."""

    what: str
    verdict: Verdict
    says: str
    remedy: str = ""


def good(what: str, says: str) -> Finding:
    """Note something that is as it should be."""
    return Finding(what, Verdict.GOOD, says)


def warning(what: str, says: str, remedy: str) -> Finding:
    """Note something that works, and that `remedy` would make better."""
    return Finding(what, Verdict.WARNING, says, remedy)


def bad(what: str, says: str, remedy: str) -> Finding:
    """Note something that does not work, or must not stay so."""
    return Finding(what, Verdict.BAD, says, remedy)
