"""Ingest against what the machine can do: `python -m tests.benchmarks.ingest [--dsn DSN] [--json OUT] [--growth SVG]`.

one: readings durably stored per second, one to a message, acknowledged after COMMIT, over what mosquitto_sub receives
of the same messages. ten: rows stored per second, ten to a message, over a bare binary COPY of the same rows. Each
round fills everybody's session at the broker and lets them drain it in turn; figures are medians of the rounds.
latency_ms: from publishing to the unit's receipt, while publisher, broker, gateway, database and receipts share the
machine. peers: their messages per second over the gateway's, in the same round.

It starts its own broker, and PostgreSQL as it is embedded unless a superuser's DSN is given. --growth measures the cost
of a reading as units and stored rows grow, and draws it; that takes long, and --rows says how far it goes.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from tests.benchmarks.ingest import growth, latency
from tests.benchmarks.ingest.ground import enrol, ground
from tests.benchmarks.ingest.peers import NodeRed, Peer, SimpleScript
from tests.benchmarks.ingest.rounds import ONE, TEN, Rounds, median

BEGAN = time.monotonic()


def say(line: str) -> None:
    """Show progress on stderr."""
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {line}", file=sys.stderr, flush=True)


def measure(asked: argparse.Namespace) -> dict[str, object]:
    """Return everything that is measured by default."""
    with ground(asked.dsn) as here:
        say(f"enrolling {asked.units:,} units")
        enrol(here.dsn, asked.units)
        peers: list[Peer] = [SimpleScript(here)]
        if modules := NodeRed.modules_in(asked.node_red):
            peers.append(NodeRed(here, modules))
        else:
            say("Node-RED is not here: `npm install node-red pg` in a folder, and name it with --node-red")
        rounds = Rounds(here, asked.units, peers, say)
        played = {ONE: [], TEN: []}
        for number in range(asked.rounds):
            for shape in (ONE, TEN):
                say(f"round {number + 1} of {asked.rounds}")
                played[shape].append(rounds.play(shape, asked.messages, peers=number == 0 and shape == ONE))
        one, ten = median(played[ONE], ONE), median(played[TEN], TEN)
        rounds.bare.drop()
        say("latency")
        waits = latency.measure(here, rounds.fleet, asked.messages // 2, asked.seconds, say)
    return {
        "units": asked.units,
        "one": {name: one[name] for name in ("stored_per_s", "mosquitto_sub_per_s", "ratio", "peak_mib")},
        "ten": {name: ten[name] for name in ("rows_per_s", "copy_rows_per_s", "copy_ratio", "peak_mib")},
        "latency_ms": waits,
        "peers": one["peers"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dsn", help="a superuser's DSN of the PostgreSQL to use, TimescaleDB say")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--units", type=int, default=1_000)
    parser.add_argument("--messages", type=int, default=120_000, help="that each drains, in every round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="that each rate of the latency is held")
    parser.add_argument("--node-red", type=Path, help="folder in which node-red and pg are installed")
    parser.add_argument("--growth", type=Path, help="measure growth instead, and draw it here")
    parser.add_argument("--rows", type=float, default=10.0, help="millions of stored rows that --growth goes up to")
    asked = parser.parse_args()
    if asked.growth:
        found: dict[str, object] = growth.measure(asked.dsn, asked.rows, asked.messages, say)
        asked.growth.write_text(growth.drawn(found))
    else:
        found = measure(asked)
        found["ten"]["ratio"] = found["ten"].pop("copy_ratio")  # type: ignore[index,attr-defined]  # figures as JSON holds them
    text = json.dumps(found, indent=1)
    if asked.json:
        asked.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
