"""Mail is the envelopes that it was made of, in columns."""

import pickle
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest.envelope import Envelope, Handle, Released
from gateway.ingest.mail import NOTHING, Mail, told_of

moments = st.datetimes(
    datetime.fromisoformat("1990-01-01"),
    datetime.fromisoformat("2100-01-01"),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
)
envelopes = st.builds(
    Envelope,
    st.sampled_from(["a", "b", "c"]),
    st.binary(max_size=3),
    moments,
    st.none() | st.just("application/cbor"),
    st.booleans(),
    st.booleans(),
    st.none() | st.builds(Released, st.just("x"), st.none() | st.lists(st.integers(0, 3))),
    st.none() | st.just(""),
    st.booleans(),
    st.none() | st.builds(Handle, st.integers(0, 3), st.integers(0, 65_535)),
)
usual = st.builds(
    Envelope, st.just("a"), st.binary(max_size=3), moments, handle=st.builds(Handle, st.just(1), st.just(2))
)
letters = st.lists(usual | envelopes, max_size=8)


@given(letters, letters, st.data())
def test_it_is_the_sequence_of_its_messages(some: list[Envelope], more: list[Envelope], data: st.DataObject) -> None:
    """Indexed, cut, put together, chosen from and sent elsewhere, it holds what a list of envelopes would."""
    mail = Mail.of(some)
    assert some == list(mail) == [mail[place] for place in range(len(some))] == [*reversed(mail)][::-1]
    assert {place: told_of(each) for place, each in enumerate(some) if told_of(each) != NOTHING} == mail.odd
    cut = data.draw(st.slices(len(some)))
    assert some[cut] == list(mail[cut])
    mask = data.draw(st.lists(st.booleans(), min_size=len(some), max_size=len(some)))
    assert [each for each, wanted in zip(some, mask, strict=True) if wanted] == list(mail.chosen(mask))
    elsewhere: Mail = pickle.loads(pickle.dumps(mail.without_handles()))  # noqa: S301  # our own
    assert [each._replace(handle=None) for each in some] == list(elsewhere)
    whole = Mail.of([])
    whole.extend(mail)
    whole.extend(Mail.of(more))
    assert some + more == list(whole)
    assert some == list(mail)
    assert Mail.of(whole) is whole
