"""The buffer between the broker's thread and the one that stores."""

import sys
import threading
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.lists(st.lists(st.integers(0, 12), max_size=6), max_size=6), st.integers(1, 8))
def test_what_came_leaves_in_order_and_within_bounds(chunks: list[list[int]], limit: int) -> None:
    """However messages came together, a batch has as many as fit, and nothing is left that would count as held."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inbox, "WEIGHTY", 20)
        patch.setattr(inbox, "HEAVY", 40)
        patch.setattr(inbox, "PATIENCE", 0.0)
        patch.setattr(inbox, "LINGER", 0.0)
        own, kept, batches = inbox.Inbox(1000), [], []
        for number, sizes in enumerate(chunks):
            some = [heavy(number, size) for size in sizes]
            spilled = own.spilled
            own.put(Mail.of(some))
            kept += some if own.spilled == spilled else []
            assert own.full == (sum(1 + len(each.payload) for each in kept) >= inbox.HEAVY)
        while batch := own.take(limit, 0):
            batches.append(list(batch))
    assert kept == [each for batch in batches for each in batch]
    for batch, following in pairwise([*batches, []]):
        weights = [1 + len(each.payload) for each in batch]
        assert len(batch) <= limit
        assert sum(weights) <= 20 or len(batch) == 1
        assert len(batch) == limit or not following or sum(weights) + 1 + len(following[0].payload) > 20
    assert 0 == len(own)
    assert 0 == own._bytes_came - own._bytes_left


def test_two_threads_lose_nothing_and_never_see_less_than_nothing() -> None:
    """The broker's thread puts while the other takes: each message comes out once, in order, and a length is one."""
    own, before = inbox.Inbox(64), sys.getswitchinterval()
    chunks = [Mail.of([heavy(number, 0)]) for number in range(60_000)]
    putting = threading.Thread(target=lambda: [own.put(chunk) for chunk in chunks])
    found: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inbox, "LINGER", 0.0)
        sys.setswitchinterval(1e-6)
        try:
            putting.start()
            while own or putting.is_alive():
                found += own.take(64, 0.0).topics
        finally:
            sys.setswitchinterval(before)
            putting.join()
    assert [topic for chunk in chunks for topic in chunk.topics] == found
    assert 0 == own.spilled
