"""events.csv: parts that were fitted, counters that were set anew, and what else happened, into the ledger."""

import json
from typing import Any

from gateway.events import EventType
from gateway.ingest.adapters import wearwell
from gateway.ingest.envelope import Envelope
from gateway.ingest.happenings import ABOUT_A_SLOT
from gateway.ingest.rejection import Rejected
from gateway.ingest.topics import Address
from gateway.registry import sense
from gateway.replay.history import cells
from gateway.replay.history.ledger import EVENT, Entry, Ledger
from gateway.replay.history.roster import Member
from gateway.replay.history.sheet import Sheet
from gateway.replay.history.when import When

NEEDED = ("serial", "time", "type")
SAID = ("slot", "part", "by", "tag", "channel", "value", "code", "text", "button", "version")  # as on the wire
KNOWN = (*NEEDED, "arrived", *SAID)
TYPES = [kind.value for kind in wearwell.CARRIED]


def read(
    sheet: Sheet, file: int, members: dict[str, Member], when: When, ledger: Ledger, *, channels: list[str]
) -> int:
    """Take the events of the file into the ledger and return how many there are."""
    count = 0
    for line, row in sheet:
        said = dict(zip(sheet.columns, row, strict=True))
        member = members.get(said["serial"])
        if member is None:
            sheet.fault(line, f"the serial {said['serial']!r} is not in units.csv; add it there, or take its lines out")
            continue
        times = when.of(sheet, line, row)
        try:
            event = _event(line, said, member, channels)
            if times is not None:
                event["t"] = times[1] / 1_000
                wearwell.read(Address("wearwell", member.device, "evt"), _envelope(member, event, times[0]))
        except (ValueError, Rejected) as error:
            sheet.fault(line, str(error))
            continue
        if times is not None:
            about = f"{event['type']}:{event.get('slot', '')}:{event.get('channel', '')}"
            ledger.add(Entry(*times, EVENT, member.number, file, line, 0, about, json.dumps(event)))
            count += 1
    return count


def _event(line: int, said: dict[str, str], member: Member, channels: list[str]) -> dict[str, Any]:
    """Return an event as a unit tells it, without its time; raises ValueError that says what would be right."""
    kind = said["type"]
    if kind not in TYPES:
        raise ValueError(f"type: {kind!r} is no event{sense.nearest(kind, TYPES)}; there are {', '.join(TYPES)}")
    event: dict[str, Any] = {"v": 1, "s": 1, "id": f"events.{line}", "t": 0, "c": "synced", "type": kind}
    event |= {name: said[name] for name in SAID if said.get(name)}
    if "value" in event:
        event["value"] = cells.number(event["value"])
    slot, there = event.get("slot"), ", ".join(member.slots)
    if slot is None and EventType(kind) in ABOUT_A_SLOT:
        if len(member.slots) > 1:
            raise ValueError(f"slot: a {kind} needs its slot, and the unit has several; name one of {there}")
        event["slot"] = member.slots[0]
    elif slot is not None and slot not in member.slots:
        raise ValueError(f"slot: units of the product model {member.model.gtin} have no slot {slot!r}; name {there}")
    if "channel" in event and event["channel"] not in channels:
        near = sense.nearest(event["channel"], channels)
        raise ValueError(f"channel: {event['channel']!r} is no channel{near}; name one, or declare it")
    return event


def _envelope(member: Member, event: dict[str, Any], arrived: int) -> Envelope:
    return Envelope(f"ww/v1/{member.device}/evt", json.dumps(event).encode(), cells.at(arrived))
