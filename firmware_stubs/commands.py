"""What a person, or the demo, tells a running fleet, one line of standard input each.

`fit DEVICE SLOT SKU` fits a part; `press DEVICE BUTTON` presses a button; `reboot DEVICE` pulls the plug for a moment;
`stop` ends it.
"""

import asyncio
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

from firmware_stubs.fleet import Fleet


async def obey(fleet: Fleet, line: str) -> dict[str, object] | None:
    """Do what one line says and return what came of it; None: the fleet is to stop."""
    match line.split():
        case ["stop"]:
            return None
        case ["fit", device, slot, sku]:
            try:
                return {"done": "fit", "device": device, "slot": slot, "event": await fleet.fit_part(device, slot, sku)}
            except KeyError as unknown:
                return {"error": f"there is no unit or slot {unknown}"}
        case ["press", device, button] if device in fleet.radios:
            return {"done": "press", "device": device, "event": fleet.unit(device).press(button)}
        case ["reboot", device] if device in fleet.radios:
            fleet.unit(device).reboot()
            return {"done": "reboot", "device": device, "session": fleet.unit(device).session}
        case _:
            return {
                "error": f"cannot do {line.strip()!r}: fit DEVICE SLOT SKU, press DEVICE BUTTON, reboot DEVICE, stop"
            }


def listen(source: TextIO = sys.stdin) -> asyncio.Queue[str]:
    """Return a queue that the lines of `source` arrive in; the thread that reads them ends with them."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read(source: Iterator[str]) -> None:
        for line in source:
            loop.call_soon_threadsafe(lines.put_nowait, line)

    threading.Thread(target=read, args=(source,), name="commands", daemon=True).start()
    return lines
