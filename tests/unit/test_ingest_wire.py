"""The broker's bytes: messages taken out of them however they are cut, and made into them by the thousand."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pydantic import ValidationError

from gateway import clock
from gateway.ingest import topics
from gateway.ingest.envelope import Envelope, Handle
from gateway.ingest.posting import FIRST, Posting, packet
from gateway.ingest.receipts import Message, Outgoing
from gateway.ingest.sieve import DUP, KNOWN, RETAIN, SHORT, Sieve
from gateway.settings import Settings

OTHER = b"\xd0\x00"  # PINGRESP


def publish(topic: bytes, payload: bytes, mid: int | None, flags: int = 0, properties: bytes | None = b"\x00") -> bytes:
    body = len(topic).to_bytes(2) + topic + (b"" if mid is None else mid.to_bytes(2)) + (properties or b"") + payload
    size, length = len(body), b""
    while size > 127:
        length, size = length + bytes((size % 128 | 0x80,)), size // 128
    return bytes((0x30 | flags | (0 if mid is None else 2),)) + length + bytes((size,)) + body


class Heard:
    """What a sieve handed on, in order."""

    def __init__(self, *, five: bool = True) -> None:
        self.messages: list[Envelope] = []
        self.mids: list[int] = []
        self.sieve = Sieve(self.messages.extend, self.mids.extend, five=five, connection=3)

    def feed(self, data: bytes, cuts: list[int]) -> bytes:
        edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
        return b"".join(self.sieve.feed(data[a:b]) for a, b in pairwise(edges))


def unstamped(message: Envelope) -> Envelope:
    """Leave out when it came, which differs from read to read."""
    return message._replace(received_at=NOW)


NOW = clock.now()
messages = st.builds(
    publish,
    topic=st.sampled_from([b"", b"a", b"a/b"]) | st.binary(max_size=40),
    payload=st.binary(max_size=400),
    mid=st.none() | st.integers(1, 65_535),
    flags=st.sampled_from([0, RETAIN, DUP, RETAIN | DUP]),
)
acks = st.integers(1, 65_535).map(lambda mid: b"\x40\x02" + mid.to_bytes(2))
others = st.sampled_from([OTHER, b"\x90\x04\x00\x01\x00\x01", b"\x20\x03\x00\x00\x00"])


@given(st.lists(messages | acks | others, max_size=12), st.lists(st.integers(0, 5_000), max_size=6))
def test_bytes_may_be_cut_anywhere(packets: list[bytes], cuts: list[int]) -> None:
    """However much one read brings, the same messages and acknowledgements are handed on, the rest left as it was."""
    whole, cut = Heard(), Heard()
    left = whole.feed(b"".join(packets), [])
    assert left == cut.feed(b"".join(packets), cuts)
    assert ([*map(unstamped, whole.messages)], whole.mids) == ([*map(unstamped, cut.messages)], cut.mids)
    assert b"".join(one for one in packets if one[0] & 0xF0 not in {0x30, 0x40}) == left
    assert sum(one[0] & 0xF0 == 0x30 for one in packets) == len(whole.messages)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=3))
def test_any_bytes_are_taken_without_an_exception(data: bytes, cuts: list[int]) -> None:
    """A broker that sends nonsense is the library's affair, which hangs up; the sieve never raises."""
    Heard().feed(data, cuts)


def test_message_is_read_whole() -> None:
    """Topic, payload, id and marks are those that the broker sent, and the content type is found among others."""
    properties = Properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = 9
    properties.UserProperty = [("a", "b"), ("c", "d")]
    properties.ContentType = "application/cbor"
    properties.CorrelationData = b"\x03\x03"
    heard = Heard()
    assert b"" == heard.feed(publish(b"a/b", b"x", 7, DUP, properties.pack()) + publish(b"c", b"", None, RETAIN), [])
    assert [
        Envelope("a/b", b"x", NOW, "application/cbor", again=True, handle=Handle(3, 7)),
        Envelope("c", b"", NOW, retained=True),
    ] == [*map(unstamped, heard.messages)]


@given(
    st.sampled_from([b"ww/v1/a/tlm", b"ww/v1/b/tlm", b"\xff", b"x" * 200]),
    st.binary(max_size=20_000),
    st.sampled_from([0, RETAIN, DUP, RETAIN | DUP]),
    st.booleans(),
)
def test_usual_message_is_read_as_any_other(topic: bytes, payload: bytes, flags: int, five: bool) -> None:
    """What is taken in passing, of whatever length, says what it says with a property, which is looked at closely."""
    heard = Heard(five=five)
    plain = publish(topic, payload, 513, flags, properties=b"\x00" if five else None)
    closely = publish(topic, payload, 513, flags, properties=b"\x02\x01\x00" if five else None)
    assert b"" == heard.feed(plain * 2 + closely, [])
    expected = Envelope(
        topic.decode("utf-8", "replace"), payload, NOW, retained=bool(flags & RETAIN), again=bool(flags & DUP),
        handle=Handle(3, 513),
    )  # fmt: skip
    assert [expected] * 3 == [*map(unstamped, heard.messages)]


def test_topics_are_remembered_within_bounds() -> None:
    """A topic that comes again is the same text; more than KNOWN of them, and long ones, are not kept."""
    heard = Heard()
    heard.feed(publish(b"ww/v1/a/tlm", b"x", 1) * 2, [])
    assert heard.messages[0].topic is heard.messages[1].topic
    heard.feed(publish(b"y" * (SHORT + 1), b"x", 1), [])
    heard.feed(b"".join(publish(b"%d" % number, b"", 1) for number in range(KNOWN)), [])
    remembered = heard.sieve._topics
    assert len(remembered) <= KNOWN
    assert max(map(len, remembered)) <= SHORT


def test_a_message_id_means_something_on_its_own_connection_only() -> None:
    """The same id comes again and again on each of two; each handle says which."""
    found: list[Envelope] = []
    first, second = (Sieve(found.extend, lambda _: None, five=True, connection=number) for number in (1, 2))
    for sieve in (first, second, first):
        sieve.feed(publish(b"a", b"x", 7))
    assert [Handle(1, 7), Handle(2, 7), Handle(1, 7)] == [message.handle for message in found]


def test_mqtt_3_has_no_properties() -> None:
    """In MQTT 3.1.1 the payload follows the message id at once."""
    heard = Heard(five=False)
    heard.feed(publish(b"a", b"\x00\x01", 5, properties=None), [])
    assert [("a", b"\x00\x01", Handle(3, 5))] == [(one.topic, one.payload, one.handle) for one in heard.messages]


def test_malformed_message_is_left_to_the_library() -> None:
    """A message whose properties end beyond itself is not guessed at."""
    heard = Heard()
    broken = publish(b"a", b"", 5, properties=b"\x05\x03")
    assert broken == heard.feed(broken, [])
    assert [] == heard.messages


def sent() -> tuple[Posting, list[bytes]]:
    packets: list[bytes] = []
    return Posting(packets.append, five=True), packets


def numbered() -> Iterator[Message]:
    for number in range(100):
        yield Message("ww/v1/acme.1/dn/receipt", b"%d" % number)


def read(packets: list[bytes]) -> list[Envelope]:
    heard = Heard()
    heard.feed(b"".join(packets), [])
    return heard.messages


def test_never_more_is_under_way_than_the_broker_takes() -> None:
    """Messages wait for acknowledgements, then follow in order, and no id is used twice at a time."""
    posting, packets = sent()
    posting.open(3)
    posting.publish(numbered())
    assert [b"0", b"1", b"2"] == [one.payload for one in read(packets)]
    posting.acknowledged([FIRST + 1])
    assert [b"0", b"1", b"2", b"3"] == [one.payload for one in read(packets)]
    while len(found := read(packets)) < 100:
        posting.acknowledged([one.handle.mid for one in found if one.handle])
    assert [b"%d" % number for number in range(100)] == [one.payload for one in found]


def test_receipts_of_the_largest_batch_find_room() -> None:
    """Each of as many units as a batch can have messages is told, however few the broker takes at a time."""
    largest = 65_535
    with pytest.raises(ValidationError):
        Settings(mqtt_window=largest + 1)
    posting, packets = sent()
    posting.open(20)
    posting.publish(Message(f"ww/v1/{unit}/dn/receipt", b"") for unit in range(largest))
    told = 0
    while found := read(packets):
        told += len(found)
        packets.clear()
        posting.acknowledged([one.handle.mid for one in found if one.handle])
    assert largest == told


def test_what_no_later_message_says_again_is_dropped_last() -> None:
    """A refusal or an event's receipt comes behind cumulative ones: where there is no room, the oldest go."""
    outgoing = Outgoing()
    refusal, receipt = Message("t", b"no"), Message("t", b"through", series=7)
    outgoing.add([refusal, receipt])
    assert [receipt, refusal] == outgoing.take()


def test_topics_that_nobody_reads_are_not_remembered() -> None:
    """They have any length, and a unit may make up as many as it likes."""
    before = topics._spread.cache_info().currsize
    assert {0} == {topics.spread(f"a/b/c/d/{number}") for number in range(100)}
    assert before == topics._spread.cache_info().currsize
    assert topics.spread("ww/v1/acme.1/tlm") == topics.spread("ww/v1/acme.1/evt") != 0


def test_nothing_is_sent_without_a_connection() -> None:
    """What was not sent when the connection was lost stays unsaid: the next receipt says more."""
    posting, packets = sent()
    posting.publish(numbered())
    posting.open(2)
    assert [] == packets
    posting.publish(numbered())
    posting.open(0)
    posting.acknowledged([FIRST, FIRST + 1])
    assert 2 == len(read(packets))


def test_receipt_is_the_packet_that_the_standard_says() -> None:
    """Length, topic, id and, in MQTT 5, empty properties; a long payload has a long length."""
    message = Message("t", b"x" * 200)
    assert b"\x32\xce\x01\x00\x01t\x04\x00\x00" + message.payload == packet(message, 1_024, five=True)
    assert b"\x32\xcd\x01\x00\x01t\x04\x00" + message.payload == packet(message, 1_024, five=False)
