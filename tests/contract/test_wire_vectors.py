"""The golden vectors, the schema and docs/protocol.md say the same, and the stub reads and writes exactly that."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cbor2
import jsonschema
import pytest

from firmware_stubs import wire

DOCS = Path(__file__).parents[2] / "docs"
PROTOCOL = (DOCS / "protocol.md").read_text()
SCHEMA = json.loads((DOCS / "protocol" / "schema.json").read_text())
VECTORS = sorted((DOCS / "protocol" / "vectors").glob("*/*.json"))
REFUSED = sorted((DOCS / "protocol" / "refused").glob("*/*"))


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def validator(message: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{message}", "$defs": SCHEMA["$defs"]})


def finite(value: Any) -> bool:
    """JSON Schema cannot say it: no number is infinite or not a number."""
    if isinstance(value, dict):
        return all(finite(inner) for inner in value.values())
    if isinstance(value, list):
        return all(finite(inner) for inner in value)
    return not isinstance(value, float) or math.isfinite(value)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def test_schema_is_a_schema() -> None:
    """The schema itself is valid JSON Schema 2020-12."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", VECTORS, ids=name)
def test_vector_is_valid(path: Path) -> None:
    """Each golden vector is what the schema says its message is."""
    assert [] == list(validator(path.parent.name).iter_errors(json.loads(path.read_bytes())))


@pytest.mark.parametrize("path", VECTORS, ids=name)
def test_stub_reads_and_writes_json(path: Path) -> None:
    """The stub reads each JSON vector and writes the same bytes."""
    assert path.read_bytes() == wire.encode(wire.decode(path.read_bytes()))


@pytest.mark.parametrize("path", VECTORS, ids=name)
def test_stub_reads_and_writes_cbor(path: Path) -> None:
    """The CBOR vector is the JSON vector's structure, told by its first byte, and the stub writes the same bytes."""
    packed = path.with_suffix(".cbor").read_bytes()
    assert json.loads(path.read_bytes()) == wire.decode(packed) == wire.decode(packed, wire.CBOR)
    assert packed == wire.encode(wire.decode(packed), cbor=True)


def test_shortest_floats_are_the_same_batch() -> None:
    """A batch in the shortest floats that hold it decodes to the same structure."""
    folder = DOCS / "protocol" / "vectors" / "tlm"
    short, usual = (folder / "synced.shortest.cbor").read_bytes(), (folder / "synced.cbor").read_bytes()
    assert wire.decode(usual) == wire.decode(short)
    assert len(short) < len(usual)


def test_every_cbor_vector_has_its_json() -> None:
    """No CBOR file stands alone."""
    stems = {path.with_suffix("") for path in VECTORS}
    alone = [
        p for p in (DOCS / "protocol" / "vectors").glob("*/*.cbor") if p.with_name(p.name.split(".")[0]) not in stems
    ]
    assert [] == alone


@pytest.mark.parametrize("path", [p for p in VECTORS if p.parent.name == "tlm"], ids=name)
def test_batch_survives_being_cut(path: Path) -> None:
    """Samples taken out of a batch and put together again, whole or one by one, keep identity, moment and values."""
    samples = wire.samples(wire.decode(path.read_bytes()))
    assert samples == wire.samples(wire.batch(samples))
    assert samples == [again for sample in samples for again in wire.samples(wire.batch([sample]))]


def test_recut_vector_holds_the_same_sample() -> None:
    """Sample 4121 is the same in the batch and in the batch that was cut another way."""
    synced, recut = (
        wire.samples(wire.decode((DOCS / f"protocol/vectors/tlm/{case}.json").read_bytes()))
        for case in ("synced", "recut")
    )
    assert synced[1] == recut[0]


@pytest.mark.parametrize("path", REFUSED, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_refused_is_no_message(path: Path) -> None:
    """What the gateway refuses whole is not valid by the schema, or cannot be decoded strictly."""
    payload = path.read_bytes()
    try:
        if path.suffix == ".json":
            message = json.loads(payload, object_pairs_hook=once)
        else:
            message = cbor2.loads(payload, allow_indefinite=False, allow_duplicate_keys=False)
    except (ValueError, cbor2.CBORDecodeError):
        return
    assert not (finite(message) and validator(path.parent.name).is_valid(message))


LIMITS = {
    "1001 samples": {"r": [[0, {"runtime": 1}]] * 1001},
    "65 channels": {"r": [[0, {f"c{k}": k for k in range(65)}]]},
    "a negative offset": {"r": [[-1, {"runtime": 1}]]},
    "a time without a clock": {"c": "none"},
    "an unknown sentinel": {"r": [[0, {"runtime": "BROKEN"}]]},
    "a channel three levels deep": {"r": [[0, {"a.b.c": 1}]]},
    "a channel in capitals": {"r": [[0, {"Runtime": 1}]]},
    "a session above 2^53": {"s": 2**53 + 1},
    "another version": {"v": 2},
}


@pytest.mark.parametrize("change", LIMITS.values(), ids=LIMITS.keys())
def test_limits_hold(change: dict[str, Any]) -> None:
    """The schema refuses what no unit may send."""
    usual = {"v": 1, "s": 7, "q": 1, "t": 1795457100, "c": "synced", "r": [[0, {"runtime": 1}]]}
    assert validator("tlm").is_valid(usual)
    assert not validator("tlm").is_valid({**usual, **change})


@pytest.mark.parametrize(("kind", "field"), [("part_fitted", "by"), ("fault_set", "code"), ("counter_reset", "value")])
def test_event_needs_its_fields(kind: str, field: str) -> None:
    """An event without a field that its type requires is not valid."""
    event = json.loads((DOCS / f"protocol/vectors/evt/{kind}.json").read_bytes())
    del event[field]
    assert not validator("evt").is_valid(event)


def test_every_vector_is_named() -> None:
    """docs/protocol.md names every vector, and none that is not there."""
    named = set(re.findall(r"`((?:tlm|state|evt|receipt|forecast|cmd|reply)/[a-z_]+)`", PROTOCOL))
    assert {name(path) for path in VECTORS} == named


def test_shown_messages_are_vectors() -> None:
    """Each message shown in docs/protocol.md is the vector that the line above it names."""
    shown = re.findall(r"<!-- docs/(\S+) -->\n```json\n(.*?)```", PROTOCOL, re.DOTALL)
    assert len(shown) == PROTOCOL.count("```json")
    for path, text in shown:
        assert json.loads((DOCS / path).read_bytes()) == json.loads(text), path


def test_filter_turns_one_encoding_into_the_other() -> None:
    """`python -m firmware_stubs.wire` makes a vector's CBOR from its JSON, and back."""
    case = DOCS / "protocol" / "vectors" / "tlm" / "sentinels.json"
    command = [sys.executable, "-m", "firmware_stubs.wire"]
    packed = subprocess.run(command, input=case.read_bytes(), capture_output=True, check=True, cwd=DOCS.parent).stdout
    assert case.with_suffix(".cbor").read_bytes() == packed
    back = subprocess.run(command, input=packed, capture_output=True, check=True, cwd=DOCS.parent).stdout
    assert case.read_bytes() == back


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[1]", b'{"v":2}', b'{"v":NaN}', b"\xa1", b"\xff", b"\xd9\xd9\xf7\x01"]
)
def test_stub_refuses_what_is_no_message(payload: bytes) -> None:
    """Bytes that are no message of version 1 raise WireError, never anything else."""
    with pytest.raises(wire.WireError):
        wire.decode(payload)


def test_stub_sends_nothing_too_large() -> None:
    """A message above 64 KiB is not encoded."""
    with pytest.raises(wire.WireError, match="65536"):
        wire.encode({"v": 1, "text": "x" * 65_536})
