"""The ledger: what was attempted, acknowledged and receipted, against what the store holds.

`python -m tests.faults.ledger publish` plays units that keep a journal, `… check` compares; docs/faults.md tells how.
"""

from tests.faults.ledger.book import Book, fingerprint
from tests.faults.ledger.check import check
from tests.faults.ledger.publisher import Publisher
from tests.faults.ledger.unit import Door, Login
from tests.faults.ledger.verdict import Mark, Verdict

__all__ = ["Book", "Door", "Login", "Mark", "Publisher", "Verdict", "check", "fingerprint"]
