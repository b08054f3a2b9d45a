"""Requests checked against the SDK's own parameter types, strictly.

The SDK's TypedDicts say what Stripe accepts. Here they are closed: no key that they do not name, no word that their
literals do not list. An SDK whose contract changed refuses what the last one allowed, and the tests say so loudly.
"""

import importlib
import sys
import types
from functools import cache
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from stripe._request_options import RequestOptions
from stripe._stripe_object import UntypedStripeObject
from typing_extensions import TypedDict, is_typeddict

from commerce.standin.refusal import Refusal

NOT_PARAMS = set(RequestOptions.__annotations__)  # api_key, idempotency_key …: they travel as headers
CODES = {
    "extra_forbidden": ("parameter_unknown", "Received unknown parameter: {param}"),
    "missing": ("parameter_missing", "Missing required param: {param}."),
    "int_parsing": ("parameter_invalid_integer", "Invalid integer: {value}"),
}


def check(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return a request's parameters with their types, checked against the SDK's type of this name.

    `name` is as in `checkout.SessionCreateParams`. Raises Refusal as Stripe words it.
    """
    try:
        checked: dict[str, Any] = _adapter(name).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        path = [str(p) for p in first["loc"] if not str(p).startswith(("literal[", "list[", "dict[", "function-"))]
        param = path[0] + "".join(f"[{p}]" for p in path[1:])
        code, words = CODES.get(first["type"], ("parameter_invalid", f"Invalid {{param}}: {first['msg']}"))
        raise Refusal(words.format(param=param, value=first["input"]), code=code, param=param) from None
    return checked


@cache
def _adapter(name: str) -> TypeAdapter[dict[str, Any]]:
    *package, kind = name.split(".")
    module = importlib.import_module(".".join(["stripe", "params", *package]))
    return TypeAdapter(_closed(getattr(module, kind)))


def _closed(kind: Any) -> Any:
    """Return a type of the SDK without its escapes: unknown keys, any string beside the listed words."""
    origin = get_origin(kind)
    if is_typeddict(kind):
        return _closed_dict(kind)
    if origin in (NotRequired, Required):
        return origin[_closed(get_args(kind)[0])]
    if origin in (Union, types.UnionType):
        members = [m for m in get_args(kind) if get_origin(m) is not UntypedStripeObject]
        if any(get_origin(m) is Literal and get_args(m) != ("",) for m in members):
            members = [m for m in members if m is not str]
        return Union[tuple(_closed(m) for m in members)]  # noqa: UP007  # built at run time
    if origin in (list, dict):
        return origin[tuple(_closed(m) for m in get_args(kind))]
    return kind


@cache
def _closed_dict(kind: Any) -> Any:
    own = {name: hint for name, hint in kind.__annotations__.items() if name not in NOT_PARAMS}
    carrier = type(kind.__name__, (), {"__annotations__": own})
    hints = get_type_hints(carrier, globalns=vars(sys.modules[kind.__module__]), include_extras=True)
    make: Any = TypedDict  # a function to us: its fields are known at run time only
    closed = make(kind.__name__, {name: _closed(hint) for name, hint in hints.items()})
    closed.__pydantic_config__ = ConfigDict(extra="forbid")
    return closed
