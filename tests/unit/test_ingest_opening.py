"""Messages that are opened by the handful say what each of them says by itself."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest import clocks, opening, payload, topics
from gateway.ingest.content import Numbers
from gateway.ingest.envelope import Envelope
from gateway.ingest.mail import Mail
from gateway.ingest.parcel import Parcel

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
BATCH = {"v": 1, "s": 7, "q": 1, "t": 1748779200.0, "c": "synced", "r": [[0, {"runtime": 812.25}]]}


def said(**changes: Any) -> bytes:
    return json.dumps(BATCH | changes, separators=(",", ":")).encode()


PLAIN = [said(q=q, r=[[k, {"runtime": k, "pm25": 2.5}] for k in range(q)]) for q in (1, 2, 5)]
ODD = [
    said(s=0),
    said(q=2**53),
    said(q=2**53 - 1),
    said(v=2),
    said(r=[]),
    said(r=[[0, {"state": "ON"}]]),
    said(r=[[0, {"a:b": 1}]]),
    said(r=[[0, {"\n": 1}]]),
    said(more={"x": [1]}),
    said(t=1e400),
    json.dumps(BATCH, indent=1).encode(),
    PLAIN[0] + PLAIN[1],
    PLAIN[0] + b"\n" + PLAIN[1],
    PLAIN[0][:-1] + b',"v":1}',
    PLAIN[0][:-1] + b',"x":',
    PLAIN[0][:-1] + b',"x":{}',
    b"}" + PLAIN[0],
    b"}",
    b"{}",
    b"",
    b"{",
    b"\xa1\x61\x76\x01",
    b'[{"n":"pm25","v":3}]',
    said(pad="x" * payload.LARGEST),
]
several = st.lists(st.sampled_from(PLAIN), min_size=2, max_size=5).map(b"\n".join)
cut = st.builds(
    lambda text, places: [text[a:b] for a, b in pairwise([0, *sorted({at % len(text) for at in places}), len(text)])],
    several | several.map(lambda text: text.replace(b"\n", b"")),
    st.lists(st.integers(0, 2_000), max_size=5),
)


def together(envelopes: list[Envelope]) -> list[Parcel]:
    """Return messages that were opened together, as they came; what plain ones say is put together from columns."""
    plain, others = opening.opened_all(Mail.of(envelopes))
    parcels = others.copy()
    sample = value = 0
    for row, turn in enumerate(plain.turn.tolist()):
        samples: list[tuple[float, dict[str, float]]] = []
        for _ in range(plain.length[row]):
            end = value + int(plain.width[sample])
            named = dict(zip(plain.names[value:end], plain.values[value:end].tolist(), strict=True))
            samples.append((float(plain.offset[sample]), named))
            sample, value = sample + 1, end
        numbers = Numbers(1, int(plain.session[row]), int(plain.first[row]), float(plain.t[row]),
                          clocks.CLOCKS[plain.clock[row]], samples)  # fmt: skip
        received = int(plain.received[row])
        assert received == clocks.micros(envelopes[turn].received_at)
        parcels.append(Parcel(envelopes[turn], received, plain.addresses[row], (numbers,), turn=turn))
    return sorted(parcels, key=lambda parcel: parcel.turn)


def both(payloads: list[bytes], topic: str = "ww/v1/acme.1/tlm", **marks: Any) -> tuple[list[Any], list[Any]]:
    """Return what messages say when they are opened together, and one by one."""
    envelopes = [Envelope(topic, raw, NOW, **marks) for raw in payloads]
    found: tuple[list[Any], ...] = tuple(
        [(one.address, list(one.contents), [(type(why), str(why)) for why in one.refused]) for one in parcels]
        for parcels in (together(envelopes), [opening.opened(envelope) for envelope in envelopes])
    )
    return found[0], found[1]


@given(st.lists(st.sampled_from(PLAIN + ODD), max_size=6))
def test_together_they_say_what_each_says(payloads: list[bytes]) -> None:
    """No message's content depends on what lies beside it, however odd that is."""
    together, alone = both(payloads)
    assert alone == together


@given(cut)
def test_what_one_message_begins_no_other_ends(payloads: list[bytes]) -> None:
    """Texts cut anywhere are read piece by piece: what is no batch by itself becomes none by its neighbour."""
    together, alone = both(payloads)
    assert alone == together


@pytest.mark.parametrize(
    "payloads",
    [
        [PLAIN[0][:-1] + b',"x":', PLAIN[1], b"}\n" + PLAIN[2] + b"\n" + PLAIN[2]],
        [PLAIN[0][:-1] + b',"x":{}', PLAIN[1] + PLAIN[2]],
        [PLAIN[0] + PLAIN[1], b"{}"],
        [b"{" + PLAIN[0], PLAIN[1] + b"}"],
    ],
)
def test_neighbour_is_not_swallowed(payloads: list[bytes]) -> None:
    """A unit that begins what its next message ends does not take what another said between the two for its own."""
    assert payload.quick_all(payloads) is None
    together, alone = both(payloads)
    assert alone == together


def test_handful_of_plain_ones_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of numbers are not looked at one by one, as long as nothing odd lies among them."""
    plain = [PLAIN[k % 3] for k in range(2 * opening.HANDFUL)]
    assert isinstance((payload.quick_all(plain[:3]) or [None])[0], Numbers)
    closely: list[Envelope] = []
    opened = opening.opened
    monkeypatch.setattr(opening, "opened", lambda envelope, turn: closely.append(envelope) or opened(envelope, turn))
    envelopes = [Envelope("ww/v1/acme.1/tlm", raw, NOW) for raw in plain]
    assert len(plain) == len(together(envelopes))
    assert [] == closely
    envelopes[3] = envelopes[3]._replace(payload=b"{")
    read, others = opening.opened_all(Mail.of(envelopes))
    assert (len(plain) - 1, [3]) == (len(read), [parcel.turn for parcel in others if parcel.refused])
    assert opening.HANDFUL == len(closely)


@pytest.mark.parametrize(
    ("topic", "marks"),
    [
        ("ww/v1/acme.1/tlm", {"retained": True}),
        ("ww/v1/acme.1/tlm", {"key": "another.1"}),
        ("ww/v1/acme.1/tlm", {"key": "acme.1"}),
        ("ww/v1/acme.1/tlm", {"content_type": "application/cbor"}),
        ("ww/v1/acme.1/evt", {}),
        ("nobody/reads", {}),
        ("455/AB1/status/current", {}),
    ],
)
def test_other_kinds_are_looked_at_one_by_one(topic: str, marks: dict[str, Any]) -> None:
    """What is retained, filed under a key, of another encoding or on another topic is treated as it always was."""
    together, alone = both(PLAIN, topic, **marks)
    assert alone == together


def test_telemetry_is_what_our_own_protocol_alone_calls_it() -> None:
    """Messages of that kind are read as our own: no adapter's topics may name another kind so."""
    assert ["wearwell"] == [adapter for adapter, shape in topics.SHAPES if "tlm" in shape.pattern]
