"""Bytes to plain values, in JSON (RFC 8259) or CBOR (RFC 8949): strictly, so that two readers cannot disagree."""

import json
from collections.abc import Sequence
from itertools import chain
from math import isfinite
from operator import attrgetter, itemgetter
from typing import Any, NoReturn, TypeVar

import cbor2
import msgspec

from gateway.ingest import rejection
from gateway.ingest.content import Batch, Numbers

LARGEST = 65_536  # bytes
DEEPEST = 16
CBOR = "application/cbor"
CBOR_TYPES = (CBOR, "application/senml+cbor")

T = TypeVar("T")
_numbers, _batch = msgspec.json.Decoder(Numbers), msgspec.json.Decoder(Batch)


def is_cbor(payload: bytes, content_type: str | None) -> bool:
    """Tell the encoding by content type or, without one, by the first byte: no JSON text begins at 0x80 or above."""
    return content_type in CBOR_TYPES or (content_type is None and payload[0] >= 0x80)


def check_size(payload: bytes) -> None:
    """Raise TooLarge, or WrongShape for a message of no bytes at all."""
    if len(payload) > LARGEST:
        raise rejection.TooLarge(f"It has {len(payload)} bytes.")
    if not payload:
        raise rejection.WrongShape("It is empty.")


def quick(payload: bytes) -> Numbers | None:
    """Read a batch of our own protocol in JSON whose every value is a number, as most are; None: look closer.

    Nothing is let through that `batch` refuses. Counting colons proves that no key was named twice, without a
    backslash there is no escaped NUL, and what is decoded has no other.
    """
    if len(payload) > LARGEST or b"\\" in payload or b"\x00" in payload or not payload.isascii():
        return None
    try:
        read = _numbers.decode(payload)
    except (msgspec.MsgspecError, RecursionError):
        return None
    samples = read.r
    values = len(samples[0][1]) if len(samples) == 1 else sum([len(values) for _, values in samples])
    return read if payload.count(b":") == 6 + values else None


def quick_all(payloads: Sequence[bytes]) -> list[Numbers] | None:
    """Read batches as `quick` does, all at once; None where it does not read one of them.

    They are read as lines. A line break within a string is no JSON, and between a line's last `}` and the next one's
    first `{` no object goes on: so no line's object runs into another's, and as many objects as lines are one in each.
    No payload has fewer colons than it has keys, so that none has more where all together have as many.
    """
    lines, n = b"\n".join(payloads), len(payloads)
    if b"\\" in lines or b"\x00" in lines or not lines.isascii() or max(map(len, payloads)) > LARGEST:
        return None
    whole = lines.startswith(b"{") and lines.endswith(b"}") and lines.count(b"}\n{") == lines.count(b"\n") == n - 1
    if not whole:
        return None
    try:
        found = _numbers.decode_lines(lines)
    except (msgspec.MsgspecError, RecursionError):
        return None
    samples = chain.from_iterable(map(attrgetter("r"), found))
    values = sum(map(len, map(itemgetter(1), samples)))
    return found if len(found) == n and lines.count(b":") == 6 * n + values else None


def batch(payload: bytes, content_type: str | None) -> Batch:
    """Read a batch of samples; raises a Rejected that says what is wrong."""
    check_size(payload)
    if is_cbor(payload, content_type):
        return _batch_of(strict_cbor(payload))
    if read := quick(payload):
        return read
    check_text(payload)
    try:
        found = _batch.decode(payload)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _explained(payload, error) from None
    if payload.count(b":") != 6 + sum([len(values) for _, values in found.r]):
        strict_json(payload)
    return found


def _batch_of(value: Any) -> Batch:
    try:
        return msgspec.convert(value, Numbers)
    except msgspec.ValidationError:
        return ours(value, Batch)


def plain(payload: bytes, content_type: str | None = None) -> Any:
    """Return the message as dicts, lists, strings, numbers, booleans and None; raises a Rejected."""
    check_size(payload)
    if is_cbor(payload, content_type):
        return strict_cbor(payload)
    check_text(payload)
    return strict_json(payload)


def ours(value: Any, shape: type[T]) -> T:
    """Return plain values as a struct of our own protocol; raises UnknownVersion or WrongShape."""
    if isinstance(value, dict) and "v" in value and value["v"] != 1:
        raise rejection.UnknownVersion(f"It says {str(value['v'])[:20]}, known is 1.")
    return shaped(value, shape)


def shaped(value: Any, shape: type[T]) -> T:
    """Return plain values as the struct that a topic carries; raises WrongShape."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise rejection.WrongShape(f"{error}.") from None


def check_text(payload: bytes) -> None:
    """Raise BadText for bytes that no text should have."""
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        raise rejection.BadText(f"Byte {error.start} is wrong.") from None
    if b"\\u0000" in payload or b"\x00" in payload:
        raise rejection.BadText("It holds a NUL character.")


def strict_json(payload: bytes) -> Any:
    """Read JSON that names no key twice, holds finite numbers only and is not deep."""
    try:
        value = json.loads(payload, object_pairs_hook=_once, parse_constant=_not_finite)
        _check(value, DEEPEST)
    except RecursionError:
        raise rejection.TooDeep from None
    except ValueError as error:
        raise rejection.BadJson(f"{error}.") from None
    return value


def strict_cbor(payload: bytes) -> Any:
    """Read CBOR as strictly as JSON: finite numbers, no key twice, no tags, definite lengths."""
    try:
        value = cbor2.loads(
            payload, max_depth=DEEPEST, allow_indefinite=False, allow_duplicate_keys=False, semantic_decoders=_TAGS
        )
    except RecursionError:
        raise rejection.TooDeep from None
    except cbor2.CBORError as error:
        says = str(error)
        if "duplicate" in says.lower():
            raise rejection.DuplicateKey from None
        raise (rejection.TooDeep() if "depth" in says else rejection.BadCbor(f"{says}.")) from None
    except (ValueError, TypeError, OverflowError) as error:
        raise rejection.BadCbor(f"{error}.") from None
    _check(value, DEEPEST)
    return value


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("tags are not used here")


_STRICT: dict[str, Any] = {"max_depth": DEEPEST, "allow_indefinite": False, "allow_duplicate_keys": False}
_TAGS = dict.fromkeys((0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000), _refuse_tag)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise rejection.DuplicateKey
    return found


def _not_finite(name: str) -> NoReturn:
    raise rejection.NotFinite(f"It says {name}.")


def _check(value: Any, depth: int) -> None:
    """Walk decoded values: numbers are finite, strings hold no NUL, nothing is deep or of a kind that JSON lacks."""
    if depth < 0:
        raise rejection.TooDeep
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str | int):
                raise rejection.WrongShape("A key is neither text nor a number.")
            _check_leaf(key)
            _check(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth - 1)
    else:
        _check_leaf(value)


def _check_leaf(value: Any) -> None:
    if isinstance(value, float):
        if not isfinite(value):
            raise rejection.NotFinite
    elif isinstance(value, str):
        if "\x00" in value:
            raise rejection.BadText("It holds a NUL character.")
        if not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
            raise rejection.BadText("It holds half of a surrogate pair.")
    elif value is not None and not isinstance(value, int):
        raise rejection.WrongShape(f"It holds a {type(value).__name__}.")


def _explained(payload: bytes, error: Exception) -> rejection.Rejected:
    """Turn the quick reader's complaint into the reason that the strict reader finds first."""
    try:
        value = strict_json(payload)
        ours(value, Batch)
    except rejection.Rejected as reason:
        return reason
    return rejection.WrongShape(f"{error}.")
