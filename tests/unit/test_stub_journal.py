"""The journal: nothing leaves it without a receipt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware_stubs.journal import Journal
from firmware_stubs.wire import Sample


def sample(sequence: int, session: int = 1, at: float | None = None) -> Sample:
    return Sample(session, sequence, 60.0 * sequence if at is None else at, "synced", {"runtime": sequence / 10})


def journal_of(count: int) -> Journal:
    journal = Journal()
    for sequence in range(1, count + 1):
        journal.append(sample(sequence))
    return journal


class JournalLife(RuleBasedStateMachine):
    """Samples, batches, lost connections, reboots and receipts of any kind, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.journal = Journal(cap=60)
        self.session = 1
        self.sequence = 0
        self.kept: dict[tuple[int, int], Sample] = {}
        self.sent: set[tuple[int, int]] = set()

    @rule()
    def take_a_sample(self) -> None:
        if not self.journal.full:
            self.sequence += 1
            taken = sample(self.sequence, self.session)
            self.journal.append(taken)
            self.kept[self.session, self.sequence] = taken

    @rule(limit=st.integers(1, 9))
    def send_a_batch(self, limit: int) -> None:
        batch = self.journal.take(limit)
        assert len(batch) <= limit
        assert (
            [b.sequence for b in batch] == list(range(batch[0].sequence, batch[0].sequence + len(batch)))
            if batch
            else True
        )
        self.sent.update((b.session, b.sequence) for b in batch)

    @rule()
    def lose_the_connection(self) -> None:
        self.journal.rewind()

    @rule()
    def reboot(self) -> None:
        self.session, self.sequence = self.session + 1, 0

    @rule(session=st.integers(0, 5), through=st.integers(0, 80))
    def hear_a_receipt(self, session: int, through: int) -> None:
        self.journal.receipt(session, through)
        self.journal.close(self.session)
        if (session, through) in self.sent:
            self.kept = {key: s for key, s in self.kept.items() if key[0] != session or key[1] > through}

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def hear_a_refusal(self, data: st.DataObject) -> None:
        session, sequence = data.draw(st.sampled_from(sorted(self.sent)))
        self.journal.refuse(session, sequence, sequence + 2)

    @invariant()
    def what_has_no_receipt_is_there(self) -> None:
        assert list(self.kept.values()) == list(self.journal)
        assert len(self.kept) == len(self.journal)


TestJournalLife = JournalLife.TestCase


@given(receipts=st.permutations(range(1, 21)))
def test_receipts_in_any_order_end_the_same(receipts: list[int]) -> None:
    """Receipts are cumulative: an older one that comes late brings nothing back and drops nothing more."""
    journal = journal_of(25)
    journal.take(25)
    highest = 0
    for through in receipts:
        journal.receipt(1, through)
        highest = max(highest, through)
        assert [s.sequence for s in journal] == list(range(highest + 1, 26))
    assert 20 == journal.receipted


def test_receipt_for_what_was_never_sent_is_ignored() -> None:
    """A receipt above everything sent is about some other journal."""
    journal = journal_of(10)
    journal.take(4)
    assert 0 == journal.receipt(1, 5)
    assert 0 == journal.receipt(9, 1)
    assert 4 == journal.receipt(1, 4)


def test_late_receipt_after_a_new_connection_counts() -> None:
    """What was sent on the old connection may be receipted on the new one."""
    journal = journal_of(10)
    journal.take(10)
    journal.rewind()
    assert 10 == journal.receipt(1, 10)


def test_everything_is_sent_again_after_a_rewind() -> None:
    """A new connection starts at the oldest sample without a receipt."""
    journal = journal_of(10)
    assert [1, 2, 3] == [s.sequence for s in journal.take(3)]
    journal.receipt(1, 2)
    journal.rewind()
    assert [3, 4, 5] == [s.sequence for s in journal.take(3)]


def test_batches_break_where_the_clock_does() -> None:
    """A batch holds one session and one clock quality, and its times do not fall."""
    journal = Journal()
    for taken in (
        sample(1),
        sample(2),
        sample(3, at=30.0),
        Sample(1, 4, 0.0, "none", {"runtime": 1}),
        sample(1, session=2),
    ):
        journal.append(taken)
    batches = [[(s.session, s.sequence) for s in journal.take(9)] for _ in range(5)]
    assert [[(1, 1), (1, 2)], [(1, 3)], [(1, 4)], [(2, 1)], []] == batches


def test_full_journal_keeps_the_oldest() -> None:
    """A full journal takes no sample; a receipt makes room."""
    journal = Journal(cap=3)
    for sequence in (1, 2, 3):
        journal.append(sample(sequence))
    with pytest.raises(ValueError, match="full"):
        journal.append(sample(4))
    journal.take(3)
    journal.receipt(1, 1)
    journal.append(sample(4))
    assert [2, 3, 4] == [s.sequence for s in journal]


def test_sequence_has_no_holes() -> None:
    """A sample that does not follow its predecessor is a mistake of the firmware's."""
    with pytest.raises(ValueError, match="does not follow"):
        journal_of(2).append(sample(4))


def test_refused_samples_stay_and_are_not_sent() -> None:
    """A refused batch is set aside: not sent, not offered to a replay, gone only with the receipt that passes it."""
    journal = journal_of(6)
    journal.take(6)
    journal.refuse(1, 2, 3)
    journal.rewind()
    assert [[1], [4, 5, 6]] == [[s.sequence for s in journal.take(9)] for _ in range(2)]
    assert [1, 4] == [s.sequence for s in journal.between(1, 1, 4)]
    assert 6 == len(journal)
    assert 6 == journal.receipt(1, 6)


def test_outstanding_counts_what_was_sent() -> None:
    """Outstanding is what was sent and has no receipt; unsent is the rest."""
    journal = journal_of(10)
    journal.take(7)
    journal.receipt(1, 2)
    assert (5, 3) == (journal.outstanding, journal.unsent)
