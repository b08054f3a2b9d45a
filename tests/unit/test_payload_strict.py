"""Whatever bytes arrive, the gateway stores them or says what is wrong with them."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest import opening, payload, rejection
from gateway.ingest.content import Batch
from gateway.ingest.envelope import Envelope

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
BATCH = {"v": 1, "s": 7, "q": 1, "t": 1748779200.0, "c": "synced", "r": [[0, {"runtime": 812.25}]]}
TOPICS = (
    "ww/v1/acme.1/tlm",
    "ww/v1/acme.1/state",
    "ww/v1/acme.1/evt",
    "ww/v1/acme.1/up/reply",
    "455/AB1/status/current",
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
)
near_misses = st.fixed_dictionaries(
    {"v": st.just(1) | values, "s": st.just(7) | values, "q": st.integers() | values, "t": st.floats() | values},
    optional={"c": st.sampled_from(["synced", "relative", "none"]), "r": st.just([[0, {"pm25": 1}]]) | values},
)


def refused(raw: bytes, content_type: str | None = None) -> str:
    """Return the code for which a batch is refused."""
    with pytest.raises(rejection.Rejected) as caught:
        payload.batch(raw, content_type)
    return caught.value.code


@given(st.binary(max_size=300), st.sampled_from(TOPICS), st.sampled_from([None, "application/cbor", "text/plain"]))
def test_any_bytes_are_read_or_refused(raw: bytes, topic: str, content_type: str | None) -> None:
    """Random bytes on any topic are contents or a reason, never an exception."""
    parcel = opening.opened(Envelope(topic, raw, NOW, content_type))
    assert bool(parcel.contents) != bool(parcel.refused)


@given(near_misses | values, st.sampled_from(TOPICS))
def test_any_values_are_read_or_refused(told: Any, topic: str) -> None:
    """Well-formed messages of any content are contents or a reason, in CBOR as in JSON."""
    raws = [cbor2.dumps(told)]
    with contextlib.suppress(TypeError, ValueError):  # bytes, or a lone surrogate: CBOR alone can say it
        raws.append(json.dumps(told).encode())
    for raw in raws:
        parcel = opening.opened(Envelope(topic, raw, NOW))
        assert bool(parcel.contents) != bool(parcel.refused)


@given(st.text(max_size=200))
def test_any_topic_is_known_or_refused(topic: str) -> None:
    """A topic nobody reads is refused with a reason."""
    parcel = opening.opened(Envelope(topic, b"{}", NOW))
    assert parcel.refused


def test_json_and_cbor_say_the_same() -> None:
    """The same batch in both encodings reads as the same."""
    assert payload.batch(json.dumps(BATCH).encode(), None) == payload.batch(cbor2.dumps(BATCH), None)


def test_content_type_wins_over_the_first_byte() -> None:
    """A batch said to be CBOR is read as CBOR."""
    assert 7 == payload.batch(cbor2.dumps(BATCH), "application/cbor").s
    assert "bad_cbor" == refused(json.dumps(BATCH).encode(), "application/cbor")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "wrong_shape"),
        (b"x" * 65_537, "too_large"),
        (b"[" * 10_000, "too_deep"),
        (b'{"a":' * 10_000, "too_deep"),
        (b'{"v":1,"x":' + b"[" * 40 + b"]" * 40 + b"}", "too_deep"),
        (b'{"v":1,"v":1,"s":7,"q":1,"t":0,"c":"none","r":[[0,{"pm25":1}]]}', "duplicate_key"),
        (b'{"v":1,"s":7,"q":1,"t":0,"c":"none","r":[[0,{"pm25":1,"pm25":2}]]}', "duplicate_key"),
        (b'{"v":1,"s":7,"q":1,"t":0,"c":"none","x":{"y":1,"y":2},"r":[[0,{"pm25":1}]]}', "duplicate_key"),
        (b'{"v":1,"s":7,"q":1,"t":NaN,"c":"none","r":[[0,{"pm25":1}]]}', "not_finite"),
        (b'{"v":1,"s":7,"q":1,"t":0,"c":"none","r":[[0,{"pm25":-Infinity}]]}', "not_finite"),
        (b'{"v":1,"s":7,"q":1,"t":0,"c":"none","r":[[0,{"pm25":1e999}]]}', "not_finite"),
        (b'{"v":1,"s":7,"q":1,"t":0,"c":"none","r":[[0,{"pm\xff25":1}]]}', "bad_text"),
        (b'{"v":1,"s":7,"q":1,"t":0,"c":"none","r":[[0,{"pm\\u000025":1}]]}', "bad_text"),
        (b'{"v":1,"s":7,"q":1,"t":0,"c":"none","r":[[0,{"pm\x0025":1}]]}', "bad_text"),
        (b'{"v":2,"s":7}', "unknown_version"),
        (b'{"v":1,"s":7', "bad_json"),
        (b"12", "wrong_shape"),
        (b'{"v":1,"s":7,"q":1,"t":0,"c":"none","r":[]}', "wrong_shape"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_json_is_named(raw: bytes, code: str) -> None:
    """Each way of being unreadable has its own reason."""
    assert code == refused(raw)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (bytes.fromhex("a2 61 76 01 61 76 01"), "duplicate_key"),
        (bytes.fromhex("c1 1a 51 4b 67 b0"), "bad_cbor"),  # a tag
        (bytes.fromhex("bf 61 76 01 ff"), "bad_cbor"),  # indefinite length
        (bytes.fromhex("d8 1c 81 d8 1d 00"), "bad_cbor"),  # a list that holds itself
        (b"\x81" * 1_000 + b"\x00", "too_deep"),
        (b"\xa1\x61v\xfb\x7f\xf8" + bytes(6), "not_finite"),
        (b"\xa1\x62\xc3\x28\x01", "bad_cbor"),  # not UTF-8
        (b"\xbb" + b"\xff" * 8, "bad_cbor"),  # says that it has 2^64 - 1 pairs
        (cbor2.dumps(BATCH)[:-1], "bad_cbor"),
        (cbor2.dumps(BATCH | {"t": 2**70}), "bad_cbor"),  # a big number is a tag
        (cbor2.dumps(BATCH | {"s": b"7"}), "wrong_shape"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_cbor_is_named(raw: bytes, code: str) -> None:
    """CBOR is as strict as JSON."""
    assert code == refused(raw)


def test_colons_in_names_do_not_hide_a_batch() -> None:
    """A name with a colon only costs the slow reading."""
    raw = json.dumps(BATCH | {"r": [[0, {"a:b": 1.0}]], "note": "later"}).encode()
    assert {"a:b": 1.0} == payload.batch(raw, None).r[0][1]


def test_reasons_read_as_sentences() -> None:
    """Every reason a person may meet is a sentence, and has a code of its own."""
    kinds = rejection.Rejected.__subclasses__()
    assert len(kinds) == len({kind.code for kind in kinds})
    for kind in kinds:
        assert str(kind()).endswith((".", "it.")), kind


def test_batch_refuses_a_session_of_nought_on_the_wire() -> None:
    """Session 0 belongs to units without a sequence; on our own topics it is refused."""
    parcel = opening.opened(Envelope(TOPICS[0], json.dumps(BATCH | {"s": 0}).encode(), NOW))
    assert ["wrong_shape"] == [reason.code for reason in parcel.refused]


def test_retained_telemetry_is_refused() -> None:
    """Telemetry from the broker's store is old news told as new."""
    parcel = opening.opened(Envelope(TOPICS[0], json.dumps(BATCH).encode(), NOW, retained=True))
    assert ["retained_telemetry"] == [reason.code for reason in parcel.refused]


def test_senml_is_read_as_it_stands() -> None:
    """RFC 8428's own example: base name, base time and relative times."""
    pack = [
        {"bn": "urn:dev:ow:10e2073a01080063:", "bt": 1.748779200e9, "bu": "A", "n": "power", "u": "W", "v": 120.1},
        {"n": "current", "t": -5, "v": 1.2},
        {"n": "hepa.left_pct", "t": -5, "v": 41},
        {"n": "running", "vb": True},
    ]
    parcel = opening.opened(Envelope(TOPICS[0], json.dumps(pack).encode(), NOW))
    batch = parcel.contents[0]
    assert isinstance(batch, Batch)
    assert "synced" == batch.c
    assert [
        (1748779195.0, {"current": 1.2, "hepa.left_pct": 41.0}),
        (1748779200.0, {"power": 120.1, "running": True}),
    ] == batch.r


def test_senml_in_cbor_uses_its_numeric_labels() -> None:
    """Labels of RFC 8428, table 4; a time below 2^28 is relative to now."""
    pack = [{-2: "urn:dev:1:", 0: "pm25", 2: 9.5, 6: -30}, {0: "pm25", 2: 9.0}]
    parcel = opening.opened(Envelope(TOPICS[0], cbor2.dumps(pack), NOW))
    batch = parcel.contents[0]
    assert isinstance(batch, Batch)
    assert ("none", [(-30.0, {"pm25": 9.5}), (0.0, {"pm25": 9.0})]) == (batch.c, batch.r)
