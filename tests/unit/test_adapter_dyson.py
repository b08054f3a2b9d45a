"""The Dyson adapter on recorded messages of real units, traps included."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.events import EventType
from gateway.ingest import opening
from gateway.ingest.content import Batch, DeviceEvent, UnitState
from gateway.ingest.envelope import Envelope

DATA = Path(__file__).parents[3] / "shared" / "data" / "dyson-mqtt"
NOW = datetime(2025, 10, 20, tzinfo=UTC)

recorded = pytest.mark.skipif(not DATA.is_dir(), reason="the recorded messages are not on this machine")


def parcel_of(told: dict[str, Any] | bytes, kind: str = "current") -> opening.Parcel:
    raw = told if isinstance(told, bytes) else json.dumps(told).encode()
    return opening.opened(Envelope(f"455/AB1-EU-XYZ0001A/status/{kind}", raw, NOW))


def batch_of(told: dict[str, Any]) -> Batch:
    [batch] = [content for content in parcel_of(told).contents if isinstance(content, Batch)]
    return batch


def values_of(told: dict[str, Any]) -> dict[str, Any]:
    return batch_of(told).r[0][1]


def lines(name: str) -> Iterator[bytes]:
    for line in (DATA / name).read_bytes().splitlines():
        if line.strip() and not line.startswith((b"#", b"---")):
            yield line


@recorded
@pytest.mark.parametrize("path", sorted(DATA.glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_recorded_message_is_understood(path: Path) -> None:
    """Each message of twelve kinds of units gives contents, or is known to say nothing about wear."""
    for line in lines(path.name):
        codes = [reason.code for reason in parcel_of(line).refused]
        assert codes in ([], ["nothing_to_store"]), line


@recorded
def test_real_depletion_is_read() -> None:
    """The hours left of a real filter: 2899, 2898, 2877, at the recorded times."""
    left = {}
    for line in lines("455.jsonl"):
        for batch in parcel_of(line).contents:
            if isinstance(batch, Batch) and "filter.left_h" in batch.r[0][1]:
                left.setdefault(batch.r[0][1]["filter.left_h"], datetime.fromtimestamp(batch.t, UTC))
    depletion = [left[hours].strftime("%Y-%m-%dT%H:%M") for hours in (2898.0, 2877.0)]
    assert left[2899.0] < left[2898.0]
    assert ["2020-01-26T22:58", "2020-01-28T08:05"] == depletion


@recorded
def test_unit_without_a_clock_is_told_apart() -> None:
    """A time of 0000-00-00 is no time."""
    clocks = {
        batch.c for line in lines("358-v1.jsonl") for batch in parcel_of(line).contents if isinstance(batch, Batch)
    }
    assert {"synced", "none"} == clocks


@recorded
def test_worn_filter_of_newer_unit_is_zero_percent() -> None:
    """With a filter fitted, 0000 means worn out."""
    lives = [batch.r[0][1].get("hepa.left_pct") for line in lines("358K.jsonl") for batch in parcel_of(line).contents
             if isinstance(batch, Batch)]  # fmt: skip
    assert {0.0, None} == set(lives)


def test_sensors_are_scaled() -> None:
    """Deci-kelvin become degrees Celsius; words stay words, with their reason."""
    told = {"msg": "ENVIRONMENTAL-CURRENT-SENSOR-DATA", "time": "2025-08-24T07:24:46.002Z",
            "data": {"hact": "FAIL", "pm25": "0007", "tact": "2951", "sltm": "OFF", "va10": "INIT"}}  # fmt: skip
    assert {"humidity": "FAIL", "pm25": 7.0, "temperature": 21.95, "voc": "INIT"} == values_of(told)


def test_state_change_takes_the_new_value() -> None:
    """Each value of a STATE-CHANGE is `[old, new]`; hyphenated names read as camelCase ones."""
    for name in ("product-state", "productState"):
        told = {"msg": "STATE-CHANGE", "time": "2020-01-26T22:58:00.000Z",
                name: {"filf": ["2899", "2898"], "fnst": ["FAN", "OFF"]}}  # fmt: skip
        assert {"filter.left_h": 2898.0, "running": False} == values_of(told)


def test_nothing_fitted_overrides_the_number() -> None:
    """Without a filter the hours or percent left mean nothing, whatever number stands there."""
    told = {"msg": "CURRENT-STATE", "productState": {"hflr": "0000", "hflt": "NONE", "cflr": "INV", "cflt": "CARF"}}
    assert {"hepa.left_pct": "NONE", "carbon.left_pct": "INV"} == values_of(told)


def test_newer_units_repeat_no_hours() -> None:
    """Where percentages stand, `filf` is a relic and always 0000."""
    told = {"msg": "CURRENT-STATE", "productState": {"filf": "0000", "hflr": "0090", "hflt": "GCOM"}}
    assert {"hepa.left_pct": 90.0} == values_of(told)


def test_new_filter_is_an_event() -> None:
    """A fitted type that changes tells of a part that came; told twice it has the same id."""
    told = {"msg": "STATE-CHANGE", "time": "2025-08-24T07:24:46.002Z",
            "productState": {"hflt": ["NONE", "GCOM"], "cflt": ["CARF", "NONE"], "hflr": ["0000", "0100"]}}  # fmt: skip
    events = [content for content in parcel_of(told).contents if isinstance(content, DeviceEvent)]
    assert [
        (EventType.PART_FITTED, "hepa", {"by": "itself", "tag": "GCOM"}),
        (EventType.PART_REMOVED, "carbon", {"by": "itself"}),
    ] == [(event.type, event.slot, event.payload) for event in events]
    again = [content for content in parcel_of(told).contents if isinstance(content, DeviceEvent)]
    assert [event.id for event in events] == [event.id for event in again]


def test_standing_fault_is_told_once_a_day() -> None:
    """A fault that every answer repeats has one id for the day."""
    ids = set()
    for hour in (7, 8):
        told = {"msg": "CURRENT-FAULTS", "time": f"2025-08-24T0{hour}:24:46.000Z",
                "productErrors": {"t&hs": "FAIL", "tilt": "OK"}, "productWarnings": {"fltr": "OK"}}  # fmt: skip
        [event] = parcel_of(told, "faults").contents
        assert isinstance(event, DeviceEvent)
        assert {"code": "t&hs"} == event.payload
        ids.add(event.id)
    assert 1 == len(ids)


def test_robot_hello_says_its_firmware() -> None:
    """The robots greet on the bare status topic."""
    raw = b'{"msg":"HELLO","protocol":"1.0.0","serial":"X","time":"2025-08-24T07:30:17Z","version":"11.3.5.10"}'
    assert [UnitState(0, "online", "11.3.5.10")] == opening.opened(Envelope("N223/X/status", raw, NOW)).contents


def test_other_json_is_refused() -> None:
    """What is no Dyson message is refused with a reason."""
    assert ["wrong_shape"] == [reason.code for reason in parcel_of(b"[1]").refused]
