"""Dyson air purifiers and robots: `<type>/<serial>/status/{current,connection,faults}`.

Learned from recorded messages of real units (tests/unit/test_adapter_dyson.py): keys come hyphenated or in camelCase;
in a STATE-CHANGE each value is `[old, new]`; numbers are zero-padded text; `INV`, `NONE`, `OFF`, `FAIL`, `INIT` mean
that there is no value; a unit without a clock writes 0000-00-00. Such a unit is enrolled under its serial as device
name and keeps no sequence.

Slots: `filter` (the one filter of Link models, in hours left of about 4300), `hepa`, `carbon` and `sco` (percent left).
"""

import re
from datetime import datetime
from typing import Any, Literal

from gateway.events import EventType
from gateway.ingest import payload, rejection
from gateway.ingest.content import UNNUMBERED, Batch, Clock, Content, DeviceEvent, UnitState, Value
from gateway.ingest.envelope import Envelope
from gateway.ingest.senml import digest
from gateway.ingest.topics import Address

NUMBER = re.compile(r"-?[0-9]{1,9}")
ZERO_C = 273.15  # K

# key in the message, channel, factor, offset
SENSORS = (
    ("pm25", "pm25", 1.0, 0.0),
    ("pm10", "pm10", 1.0, 0.0),
    ("tact", "temperature", 0.1, -ZERO_C),  # deci-kelvin
    ("hact", "humidity", 1.0, 0.0),
    ("va10", "voc", 0.1, 0.0),  # newer units tell a tenth of the index
    ("vact", "voc", 1.0, 0.0),
    ("noxl", "no2", 0.1, 0.0),
)
# what is left of the part, channel, what is fitted
LIVES = (
    ("filf", "filter.left_h", ""),
    ("hflr", "hepa.left_pct", "hflt"),
    ("cflr", "carbon.left_pct", "cflt"),
    ("sflr", "sco.left_pct", "sflt"),
)
FAULTS = ("productErrors", "productWarnings", "moduleErrors", "moduleWarnings")
BIRTHS = {"HELLO": "online", "IM-BACK": "online", "GOODBYE": "lost"}


def read(_: Address, envelope: Envelope) -> list[Content]:
    """Read one message; raises a Rejected, NothingToStore for those that say nothing about wear."""
    if envelope.retained:
        raise rejection.RetainedTelemetry
    told = payload.plain(envelope.payload, envelope.content_type)
    if not isinstance(told, dict) or not isinstance(told.get("msg"), str):
        raise rejection.WrongShape("A Dyson message has a `msg`.")
    t, clock = _time(told.get("time"))
    message = told["msg"]
    contents: list[Content] = []
    if message in BIRTHS:
        firmware = told.get("version")
        state: Literal["online", "lost"] = "online" if BIRTHS[message] == "online" else "lost"
        return [UnitState(UNNUMBERED, state, firmware if isinstance(firmware, str) else None)]
    values = _values(message, told)
    if values:
        contents.append(Batch(1, UNNUMBERED, digest(envelope), t, clock, [(0.0, values)]))
    state_now = _section(told, "productState")
    if message == "STATE-CHANGE":
        contents += _fitted(state_now, t, clock, digest(envelope))
    contents += _faults(message, told, t, clock, digest(envelope))
    if not contents:
        raise rejection.NothingToStore(f"It is a {message[:40]!r}.")
    return contents


def _values(message: str, told: dict[str, Any]) -> dict[str, Value]:
    if message == "ENVIRONMENTAL-CURRENT-SENSOR-DATA":
        data = _section(told, "data")
        return {
            channel: _scaled(_number(data[key]), factor, offset)
            for key, channel, factor, offset in SENSORS
            if isinstance(data.get(key), str)
        }
    if message not in ("CURRENT-STATE", "STATE-CHANGE"):
        return {}
    values: dict[str, Value] = {}
    state = {key: _new(value) for key, value in _section(told, "productState").items()}
    if isinstance(running := state.get("fnst"), str):  # the fan's word: `fpwr` and `fmod` say what is wanted
        values["running"] = running == "FAN"
    for key, channel, fitted in LIVES:
        left = state.get(key)
        if not isinstance(left, str) or (key == "filf" and "hflr" in state):  # newer units repeat `filf` as 0000
            continue
        nothing_fitted = state.get(fitted) == "NONE"  # then whatever number stands there means nothing
        values[channel] = "NONE" if nothing_fitted else _number(left)
    if isinstance(rssi := told.get("rssi"), str):
        values["rssi"] = _number(rssi)
    if isinstance(charge := told.get("batteryChargeLevel"), int | float):  # the robots
        values["battery"] = float(charge)
    if isinstance(doing := told.get("newstate", told.get("state")), str):
        values["running"] = doing.endswith("_RUNNING")
    return values


def _fitted(state: dict[str, Any], t: float, clock: Clock, number: int) -> list[Content]:
    """Tell of parts that came or went: the type of a fitted part changed from one to another."""
    events: list[Content] = []
    for _, channel, fitted in LIVES:
        change = state.get(fitted)
        if not (isinstance(change, list) and len(change) == 2 and change[0] != change[1]):
            continue
        slot, came = channel.partition(".")[0], change[1]
        kind = EventType.PART_REMOVED if came == "NONE" else EventType.PART_FITTED
        details: dict[str, Any] = {"by": "itself"}
        if kind is EventType.PART_FITTED and isinstance(came, str):
            details["tag"] = came
        events.append(DeviceEvent(UNNUMBERED, f"{number}.{slot}", t, clock, kind, slot, details))
    return events


def _faults(message: str, told: dict[str, Any], t: float, clock: Clock, number: int) -> list[Content]:
    """Tell of faults: changes as they happen, standing ones once a day, since they are repeated at every question."""
    if message not in ("CURRENT-FAULTS", "FAULTS-CHANGE"):
        return []
    events: list[Content] = []
    for section in FAULTS:
        for code, said in _section(told, section).items():
            if message == "CURRENT-FAULTS" and said == "FAIL" and clock == "synced":
                kind, key = EventType.FAULT_SET, f"{code}.{int(t // 86_400)}"
            elif isinstance(said, list) and len(said) == 2 and said[0] != said[1]:
                kind = EventType.FAULT_CLEARED if said[1] == "OK" else EventType.FAULT_SET
                key = f"{number}.{code}"
            else:
                continue
            events.append(DeviceEvent(UNNUMBERED, f"fault.{key}"[:64], t, clock, kind, None, {"code": str(code)[:64]}))
    return events


def _section(told: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a part of the message, whichever way its name is written; an empty one when it is missing."""
    hyphenated = re.sub(r"(?=[A-Z])", "-", name).lower()
    found = told.get(name, told.get(hyphenated))
    return found if isinstance(found, dict) else {}


def _new(value: Any) -> Any:
    return value[1] if isinstance(value, list) and len(value) == 2 else value


def _number(text: str) -> Value:
    return float(text) if NUMBER.fullmatch(text) else text[:32]


def _scaled(value: Value, factor: float, offset: float) -> Value:
    return round(value * factor + offset, 4) if isinstance(value, float) else value


def _time(text: Any) -> tuple[float, Clock]:
    """Return Unix seconds, or that the unit has no clock."""
    try:
        at = datetime.fromisoformat(text)
        return (at.timestamp(), "synced") if at.tzinfo else (0.0, "none")
    except (TypeError, ValueError, OverflowError):
        return 0.0, "none"
