"""`python -m firmware_stubs`: a fleet of simulated units against a real broker."""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from firmware_stubs import commands, faults, members, pace
from firmware_stubs.fleet import Fleet, Progress
from firmware_stubs.radio import Broker

SAVE_EVERY_S = 30.0  # of the wall clock


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m firmware_stubs", description=__doc__)
    parser.add_argument("--url", default="mqtt://127.0.0.1:1883", help="the broker, mqtt:// or mqtts://")
    parser.add_argument("--ca-file", type=Path, help="certificate authority of an mqtts:// broker")
    parser.add_argument("--mqtt", choices=("5", "3.1.1"), default="5", help="MQTT version the broker speaks")
    parser.add_argument("--credentials", type=Path, required=True, help="CSV: device,secret and, optionally, slots")
    parser.add_argument("--speed", type=float, default=1.0, help="world seconds per wall-clock second")
    parser.add_argument(
        "--pace", help="origin,since,speed in ISO 8601, as the gateway's WEARWELL_PACE; instead of --speed"
    )
    parser.add_argument("--history-days", type=float, default=0.0, help="world days already lived, delivered late")
    parser.add_argument("--sample-hours", type=int, default=1, help="world hours between samples")
    parser.add_argument("--refit-at", type=float, help="households put in a new part at this true wear; 1 is its end")
    parser.add_argument("--seed", type=int, default=0, help="decides everything that chance decides")
    parser.add_argument("--session", type=int, help="session number; by default the wall clock's second")
    parser.add_argument(
        "--faults", type=float, default=0.0, help="share of batches that leave twice, and that get lost"
    )
    parser.add_argument("--cbor", action="store_true", help="speak CBOR instead of JSON")
    parser.add_argument("--flush", type=float, default=1.0, help="wall-clock seconds between a unit's batches")
    parser.add_argument("--memory", type=Path, help="folder that keeps the units' memories over restarts")
    parser.add_argument("--every", type=float, default=5.0, help="wall-clock seconds between lines of progress")
    parser.add_argument("--json", action="store_true", help="progress as lines of JSON")
    parser.add_argument("--commands", action="store_true", help="take commands from standard input, one a line")
    return parser.parse_args(given)


def fleet_of(options: argparse.Namespace) -> Fleet:
    """Make the fleet that the command line describes; raises ValueError or OSError with what is wrong."""
    broker = Broker(options.url, options.ca_file, options.mqtt)
    broker.address()
    if not options.speed > 0 or options.sample_hours < 1 or not 0 <= options.faults < 1 or options.history_days < 0:
        raise ValueError(
            "speed must be above 0, sample hours at least 1, faults from 0 to below 1, history not negative"
        )

    def trouble(rng: np.random.Generator) -> faults.Fault:
        return faults.chain(faults.Duplicate(rng, options.faults), faults.Gap(rng, options.faults))

    fleet = Fleet(
        broker,
        members.from_file(options.credentials),
        pace.read(options.pace) if options.pace else pace.from_now(options.speed),
        seed=options.seed,
        session=options.session or int(time.time()),
        history_d=options.history_days,
        sample_h=options.sample_hours,
        refit_at=options.refit_at,
        flush_s=options.flush,
        cbor=options.cbor,
        fault=trouble if options.faults else None,
    )
    if options.memory:
        fleet.load(options.memory)
    return fleet


async def run(fleet: Fleet, options: argparse.Namespace) -> None:
    """Run the fleet until a signal, or the command `stop`, and tell how it goes."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with fleet:
        living = asyncio.create_task(fleet.wait(), name="fleet")
        living.add_done_callback(lambda _: stop.set())
        saving = asyncio.create_task(_save(fleet, options.memory), name="memory") if options.memory else None
        telling = asyncio.create_task(_tell(fleet, options.every, as_json=options.json), name="progress")
        obeying = asyncio.create_task(_obey(fleet, stop), name="commands") if options.commands else None
        await stop.wait()
        for task in filter(None, (telling, obeying, saving)):
            task.cancel()
        if living.done():
            living.result()
        await fleet.stop()
        await living
    if options.memory:
        fleet.save(options.memory)
    _say(fleet.progress(), as_json=options.json)


async def _tell(fleet: Fleet, every: float, *, as_json: bool) -> None:
    while True:
        await asyncio.sleep(every)
        _say(fleet.progress(), as_json=as_json)


async def _save(fleet: Fleet, folder: Path) -> None:
    while True:
        await asyncio.sleep(SAVE_EVERY_S)
        fleet.save(folder)


async def _obey(fleet: Fleet, stop: asyncio.Event) -> None:
    lines = commands.listen()
    while not stop.is_set():
        outcome = await commands.obey(fleet, await lines.get())
        if outcome is None:
            stop.set()
        else:
            _line(json.dumps(outcome))


def _say(progress: Progress, *, as_json: bool) -> None:
    if as_json:
        _line(json.dumps(progress.as_dict()))
        return
    world = datetime.fromtimestamp(progress.world, UTC)
    trouble = f" · {progress.trouble}" if progress.trouble else ""
    _line(
        f"{world:%Y-%m-%d %H:%M} · {progress.online}/{progress.units} units online · "
        f"{progress.recorded} samples recorded, {progress.receipted} safe, {progress.waiting} waiting · "
        f"{progress.parts_fitted} parts fitted{trouble}"
    )


def _line(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def main(given: Sequence[str] | None = None) -> int:
    """Run a fleet; 2 when the command line cannot work."""
    options = arguments(given)
    try:
        fleet = fleet_of(options)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"firmware_stubs: {error}\n")
        return 2
    asyncio.run(run(fleet, options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
