"""The buffer between the broker's thread and the one that stores."""

from datetime import UTC, datetime

import pytest

from gateway.ingest import inbox
from gateway.ingest.envelope import Envelope
from gateway.ingest.mail import Mail

NOW = datetime(2025, 6, 1, tzinfo=UTC)


def heavy(number: int, size: int) -> Envelope:
    return Envelope(f"{number}", b"x" * size, NOW)


def test_a_batch_of_heavy_messages_is_a_small_one() -> None:
    """What is made of a batch takes many times its bytes; the rest stays, in order, and is still counted."""
    own = inbox.Inbox(1000)
    sent = [heavy(number, inbox.WEIGHTY // 4 - 1) for number in range(10)]  # a topic weighs as well
    own.put(Mail.of(sent))
    batches = [own.take(1000, 0) for _ in range(3)]
    assert [4, 4, 2] == [len(batch) for batch in batches]
    assert sent == [each for batch in batches for each in batch]
    assert not own.full
    assert not own.take(1000, 0)


def test_a_message_heavier_than_a_batch_comes_alone() -> None:
    """It is let through all the same."""
    own = inbox.Inbox(1000)
    own.put(Mail.of([heavy(1, inbox.WEIGHTY + 1), heavy(2, 1)]))
    assert [1, 1] == [len(own.take(1000, 0)) for _ in range(2)]


def test_long_topics_are_weighed() -> None:
    """A message without a payload is not without weight: a topic may have 64 KiB."""
    own = inbox.Inbox(10_000)
    own.put(Mail.of([Envelope("x" * 65_000, b"", NOW)] * (inbox.HEAVY // 65_000 + 1)))
    assert own.full
    assert inbox.WEIGHTY // 65_000 == len(own.take(10_000, 0))


def test_only_a_small_batch_waits_for_company(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is large enough to be worth a commit is taken at once."""
    slept: list[float] = []
    monkeypatch.setattr(inbox.time, "sleep", slept.append)
    own = inbox.Inbox(4 * inbox.SMALL)
    own.put(Mail.of([heavy(number, 1) for number in range(inbox.SMALL - 1)]))
    assert inbox.SMALL - 1 == len(own.take(2 * inbox.SMALL, 0))
    assert [inbox.LINGER] == slept
    own.put(Mail.of([heavy(number, 1) for number in range(inbox.SMALL)]))
    assert inbox.SMALL == len(own.take(2 * inbox.SMALL, 0))
    assert [inbox.LINGER] == slept
