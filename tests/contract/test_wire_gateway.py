"""The gateway reads the same golden vectors as the stub, and refuses what docs/protocol.md says it refuses."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firmware_stubs import wire
from gateway.events import EventType
from gateway.ingest import rejection
from gateway.ingest.adapters import wearwell
from gateway.ingest.content import Batch, Content, DeviceEvent, Reply, UnitState
from gateway.ingest.envelope import Envelope
from gateway.ingest.topics import Address

DOCS = Path(__file__).parents[2] / "docs"
PROTOCOL = (DOCS / "protocol.md").read_text()
SHAPES = {"tlm": Batch, "evt": DeviceEvent, "state": UnitState, "reply": Reply}
CASES = [
    path for kind in SHAPES for path in sorted((DOCS / "protocol" / "vectors" / kind).iterdir())
]  # what a unit sends; the rest the gateway sends itself
SENML = DOCS / "protocol" / "senml"
REFUSED = sorted((DOCS / "protocol" / "refused").glob("*/*"))


def label(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def read(path: Path) -> list[Content]:
    kind = path.parent.name
    topic = f"ww/v1/acme.A1/{'up/reply' if kind == 'reply' else kind}"
    return wearwell.read(Address("wearwell", "acme.A1", kind), Envelope(topic, path.read_bytes(), datetime.now(UTC)))


@pytest.mark.parametrize("path", CASES, ids=label)
def test_gateway_reads_vector(path: Path) -> None:
    """Each message that a unit may send is read as what it is, in JSON and in CBOR."""
    [content] = read(path)
    assert isinstance(content, SHAPES[path.parent.name])


@pytest.mark.parametrize("path", [p for p in CASES if p.parent.name == "tlm"], ids=label)
def test_gateway_and_stub_read_the_same_batch(path: Path) -> None:
    """Session, sequence, clock, base time, offsets and values are the stub's own."""
    [content] = read(path)
    assert isinstance(content, Batch)
    message = wire.decode(path.read_bytes())
    assert [content.s, content.q, content.t, content.c] == [message[key] for key in "sqtc"]
    assert [[offset, values] for offset, values in content.r] == message["r"]


@pytest.mark.parametrize("path", REFUSED, ids=label)
def test_gateway_refuses_with_the_code_in_the_name(path: Path) -> None:
    """A message under refused/ is refused whole, for the reason that its name begins with."""
    with pytest.raises(rejection.Rejected) as refused:
        read(path)
    assert path.name.split(".")[0] == refused.value.code
    assert not refused.value.partial


def test_every_refusal_is_documented() -> None:
    """Each code a unit can be told stands in docs/protocol.md."""
    codes = [c.code for c in rejection.Rejected.__subclasses__() if c.fate is rejection.Fate.QUARANTINE]
    assert [] == [code for code in codes if f"`{code}`" not in PROTOCOL]


def test_stub_sets_aside_only_what_was_refused_whole() -> None:
    """No code that concerns single readings, or that passes, makes a unit give up a batch."""
    codes = {c.code: c for c in rejection.Rejected.__subclasses__()}
    assert set() == wire.SETTLED - codes.keys()
    assert [] == [code for code in wire.SETTLED if codes[code].partial]


def test_event_types_are_the_gateways() -> None:
    """The schema's event types are those that the gateway carries."""
    schema = json.loads((DOCS / "protocol" / "schema.json").read_text())
    kinds = set(schema["$defs"]["evt"]["properties"]["type"]["enum"])
    assert {str(kind) for kind in wearwell.CARRIED} == kinds
    assert kinds <= {str(kind) for kind in EventType}


@pytest.mark.parametrize("suffix", [".json", ".cbor"])
def test_a_senml_pack_is_taken_as_it_stands(suffix: str) -> None:
    """The golden pack is one batch of a unit that keeps no sequence; sent again it has the same number."""
    envelope = Envelope("ww/v1/acme.A1/tlm", (SENML / f"pack{suffix}").read_bytes(), datetime.now(UTC))
    [content] = wearwell.read(Address("wearwell", "acme.A1", "tlm"), envelope)
    assert isinstance(content, Batch)
    assert ("synced", 0) == (content.c, content.s)
    first = {"runtime": 812.25, "pm25": 9, "hepa.left_pct": 41.5, "running": True}
    assert [(1795457100.0, first), (1795457160.0, {"runtime": 812.27})] == content.r
    [again] = wearwell.read(Address("wearwell", "acme.A1", "tlm"), envelope)
    assert content == again


def test_the_senml_pack_on_the_page_is_the_golden_one() -> None:
    """What docs/protocol.md shows is what the tests send."""
    shown = PROTOCOL.split("<!-- docs/protocol/senml/pack.json -->\n```json\n")[1].split("```")[0]
    assert json.loads(shown) == json.loads((SENML / "pack.json").read_bytes())
