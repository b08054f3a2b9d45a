"""What a declaration must make sense of beyond the shape of each key: channels, thresholds, levels, what goes together.

The rules read the file as it is, so that a fault in one key hides no other; a value of the wrong kind is told of
elsewhere, and skipped here.
"""

import difflib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any, NamedTuple

from gateway.registry.channels import CHANNELS
from gateway.registry.places import Path
from predictors.registry import MODELS

LEVELLED = ("hit", "fused")  # predictors that read the levels of an indicator
RATE = " of how fast it rises, such as brews an hour beside brews; life_h are hours at its load_ref"
UNLEARNED = ("rated", "calendar")  # predictors that no covariate changes
Raw = Mapping[str, Any]


class Fault(NamedTuple):
    """Something that cannot work: where, and what is wrong and would be right."""

    path: Path
    says: str


class Bounds(NamedTuple):
    kind: str
    low: float
    high: float


def faults(raw: Raw) -> Iterator[Fault]:
    """Yield everything that cannot work in a declaration, in the order of the file."""
    known = {c.name: Bounds(c.kind, c.low, c.high) for c in CHANNELS}
    for i, channel in _tables(raw, "channels"):
        low, high = _number(channel, "low", -float("inf")), _number(channel, "high", float("inf"))
        if low >= high:
            yield Fault(("channels", i, "low"), f"low {low:g} is not below high {high:g}; nothing could be believed")
        if isinstance(channel.get("name"), str):
            known[channel["name"]] = Bounds(str(channel.get("kind", "gauge")), low, high)
    yield from _twice(("channels",), [(i, c.get("name")) for i, c in _tables(raw, "channels")], "channel")
    yield from _twice(("models",), [(i, str(m.get("gtin"))) for i, m in _tables(raw, "models")], "GTIN")
    for i, model in _tables(raw, "models"):
        at: Path = ("models", i, "slots")
        yield from _twice(at, [(j, s.get("code")) for j, s in _tables(model, "slots")], "slot")
        for j, slot in _tables(model, "slots"):
            yield from (Fault((*at, j, *fault.path), fault.says) for fault in _slot(slot, known))
    yield from _promotion(raw)


def nearest(word: str, words: Iterable[str]) -> str:
    """Return "; did you mean …?" with the word that is nearest, or nothing."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _slot(slot: Raw, known: Mapping[str, Bounds]) -> Iterator[Fault]:
    for field in ("load_channel", "indicator_channel", "flow_channel"):
        yield from _channel(slot, field, known)
    if ("load_channel" in slot) != ("load_ref" in slot):
        has, lacks = ("load_channel", "load_ref") if "load_channel" in slot else ("load_ref", "load_channel")
        why = "the reference says at which load life_h is rated"
        yield Fault((has,), f"load_channel and load_ref go together: {why}; add {lacks}")
    if ("indicator_channel" in slot) != ("indicator_eol" in slot):
        has = "indicator_channel" if "indicator_channel" in slot else "indicator_eol"
        lacks = "indicator_eol" if has == "indicator_channel" else "indicator_channel"
        why = "the end of life is a level of the indicator"
        yield Fault((has,), f"indicator_channel and indicator_eol go together: {why}; add {lacks}")
    if ("flow_channel" in slot) != ("flow_ref" in slot):
        has, lacks = ("flow_channel", "flow_ref") if "flow_channel" in slot else ("flow_ref", "flow_channel")
        yield Fault(
            (has,), f"flow_channel and flow_ref go together: the flow at which indicator_eol holds; add {lacks}"
        )
    for field in ("indicator_baseline", "levels", "indicator_falls", "flow_channel"):
        if field in slot and "indicator_eol" not in slot:
            yield Fault((field,), f"{field} says nothing without indicator_channel and indicator_eol; add them")
    yield from _covariates(slot, known)
    yield from _predictor(slot)
    yield from _threshold(slot, known)


def _covariates(slot: Raw, known: Mapping[str, Bounds]) -> Iterator[Fault]:
    given = slot.get("covariates")
    named = [(i, name) for i, name in enumerate(given) if isinstance(name, str)] if isinstance(given, list) else []
    yield from _twice(("covariates",), named, "covariate")
    for i, name in named:
        for fault in _channel({**slot, "covariates": name}, "covariates", known):
            yield Fault(("covariates", i), fault.says)
        if name == slot.get("indicator_channel"):
            why = "what shows the wear is no condition that brings it"
            yield Fault(("covariates", i), f"{name!r} is the indicator: {why}; leave it out")
    if named and slot.get("predictor") in UNLEARNED:
        what = f'predictor "{slot["predictor"]}" learns nothing from covariates'
        yield Fault(("covariates",), f'{what}; leave them out, or use "weibull"')


def _channel(slot: Raw, field: str, known: Mapping[str, Bounds]) -> Iterator[Fault]:
    name = slot.get(field)
    if not isinstance(name, str):
        return
    if name not in known:
        what = f"{field} {name!r} of slot {slot.get('code')!r} is no channel{nearest(name, known)}"
        yield Fault((field,), f"{what}; name one that is, or add it under [[channels]]")
    elif known[name].kind == "counter":
        what = f"{field} {name!r} is a counter, which only rises with use"
        yield Fault((field,), f"{what}; name a gauge{RATE if field == 'load_channel' else ''}")


def _predictor(slot: Raw) -> Iterator[Fault]:
    name = slot.get("predictor", "weibull")
    if not isinstance(name, str):
        return
    if name not in MODELS:
        yield Fault(("predictor",), f"no predictor is called {name!r}{nearest(name, MODELS)}; there are {_all(MODELS)}")
    if name in LEVELLED and "indicator_channel" not in slot:
        yield Fault(("predictor",), f'predictor "{name}" needs an indicator_channel; without one use "weibull"')
    if name == "rated" and "life_h" not in slot:
        yield Fault(("predictor",), 'predictor "rated" counts life_h down; add it, or use "calendar"')


def _threshold(slot: Raw, known: Mapping[str, Bounds]) -> Iterator[Fault]:
    eol, start = _number(slot, "indicator_eol"), _number(slot, "indicator_baseline")
    if eol is None:
        return
    falls = slot.get("indicator_falls") is True
    bounds = known.get(str(slot.get("indicator_channel")))
    if bounds and not bounds.low <= eol <= bounds.high:
        reach = f"{bounds.low:g} to {bounds.high:g}"
        yield Fault(("indicator_eol",), f"indicator_eol {eol:g} is never reached: the channel is believed from {reach}")
    if start is not None and eol == start:
        yield Fault(("indicator_eol",), f"indicator_eol {eol:g} is the baseline itself: a new part would be at its end")
    elif start is not None and (eol < start) != falls:
        side, way = ("below", "rises") if eol < start else ("above", "falls")
        remedy = "set indicator_falls = true" if eol < start else "leave out indicator_falls"
        yield Fault(
            ("indicator_eol",),
            f"indicator_eol {eol:g} lies {side} the baseline {start:g} of an indicator that {way} with wear;"
            f" put it on the other side, or {remedy}",
        )
    given = slot.get("levels")
    if given is None:
        if start is None and (falls or eol <= 0):
            yield Fault(
                ("indicator_eol",), f"an indicator that ends at {eol:g} this way needs indicator_baseline or levels"
            )
        return
    levels = [level for level in given if _is_number(level)] if isinstance(given, list) else []
    if not levels or len(levels) != len(given):
        return
    steps = [*([] if start is None else [start]), *levels, eol]
    sign = -1.0 if falls else 1.0
    wrong = next((pair for pair in itertools.pairwise(steps) if not sign * (pair[1] - pair[0]) > 0), None)
    if wrong:
        word = "fall" if falls else "rise"
        yield Fault(
            ("levels",), f"levels must {word} one way to indicator_eol {eol:g}; {wrong[1]:g} follows {wrong[0]:g}"
        )


def _promotion(raw: Raw) -> Iterator[Fault]:
    rule = raw.get("promotion")
    band = rule.get("cov80") if isinstance(rule, Mapping) else None
    if isinstance(band, list) and len(band) == 2 and all(map(_is_number, band)) and not band[0] < 0.8 < band[1]:
        yield Fault(
            ("promotion", "cov80"), f"an 80 % interval should be let cover 80 %: the band {band} does not hold 0.8"
        )


def _twice(at: Path, names: list[tuple[int, Any]], what: str) -> Iterator[Fault]:
    seen: set[Any] = set()
    for i, name in names:
        if isinstance(name, str) and name in seen:
            yield Fault((*at, i), f"the {what} {name!r} is declared twice; keep one")
        elif isinstance(name, str):
            seen.add(name)


def _tables(raw: Raw, key: str) -> list[tuple[int, Raw]]:
    found = raw.get(key)
    return [(i, each) for i, each in enumerate(found) if isinstance(each, Mapping)] if isinstance(found, list) else []


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _number(raw: Raw, key: str, otherwise: Any = None) -> Any:
    value = raw.get(key)
    return float(value) if isinstance(value, int | float) and _is_number(value) else otherwise


def _all(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
