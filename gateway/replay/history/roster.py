"""units.csv: the units of a history, each of a declared product model."""

import re
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import WearwellError
from gateway.registry import gtin, units
from gateway.registry.declaration import Declaration, ModelOf
from gateway.replay.history import cells
from gateway.replay.history.faults import Faults
from gateway.replay.history.sheet import Sheet

NEEDED = ("serial", "gtin")
KNOWN = (*NEEDED, "born", "device", "hw_rev", "region", "name")
REGION = re.compile("[A-Z]{2}")


@dataclass(slots=True)
class Member:
    """One unit; `born` in milliseconds since 1970, None until something is known of it."""

    number: int
    line: int
    serial: str
    model: ModelOf
    device: str
    born: int | None
    hw_rev: str
    region: str
    name: str | None

    @property
    def slots(self) -> list[str]:
        """The slots of its product model."""
        return [slot.code for slot in self.model.slots]


def read(path: Path, declared: Declaration, faults: Faults) -> dict[str, Member]:
    """Return the units by serial, in the order of the file."""
    members: dict[str, Member] = {}
    devices: set[str] = set()
    with Sheet(path, faults, needed=NEEDED, known=KNOWN) as sheet:
        for line, row in sheet:
            said = dict(zip(sheet.columns, row, strict=True))
            try:
                member = _member(len(members), line, said, declared)
            except (ValueError, WearwellError) as error:
                sheet.fault(line, str(error))
                continue
            if member.serial in members:
                before = members[member.serial].line
                sheet.fault(line, f"the serial {member.serial!r} stands in line {before} already; keep one")
            elif member.device in devices:
                sheet.fault(line, f"the device {member.device!r} stands in an earlier line already; name another")
            else:
                members[member.serial] = member
                devices.add(member.device)
    if sheet.columns and not members and not faults.found:
        sheet.fault(1, "it holds no unit; add a line for each")
    return members


def _member(number: int, line: int, said: dict[str, str], declared: Declaration) -> Member:
    """Return one line's unit; raises ValueError or WearwellError that says what would be right."""
    code = gtin.gtin14(said["gtin"])
    models = {model.gtin: model for model in declared.models}
    if code not in models:
        raise ValueError(f"no declared product model has the GTIN {said['gtin']}; there are {', '.join(models)}")
    if models[code].adapter != "wearwell":
        raise ValueError(f'the product model {code} is declared with another adapter; declare adapter = "wearwell"')
    serial = gtin.serial(said["serial"])
    device = said.get("device") or f"{declared.tenant}.{serial}"
    if not units.DEVICE.fullmatch(device) or device in units.RESERVED:
        raise ValueError(
            f"{device!r} cannot be a device name: 1 to 64 letters, digits, dots, dashes, underscores; add a column"
            " 'device' that names the unit in such letters"
        )
    region = said.get("region") or "DE"
    if not REGION.fullmatch(region):
        raise ValueError(f"{region!r} is no country; write two letters as in ISO 3166, such as DE")
    return Member(
        number=number,
        line=line,
        serial=serial,
        model=models[code],
        device=device,
        born=cells.moment(said["born"]) if said.get("born") else None,
        hw_rev=said.get("hw_rev", ""),
        region=region,
        name=said.get("name") or None,
    )
