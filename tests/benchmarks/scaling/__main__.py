"""What a fleet of a thousand to a hundred million units asks for: `python -m tests.benchmarks.scaling [--measure]`.

Prints the tables of docs/scaling.md, from the measured costs in costs.toml. With --measure, measures those costs anew
on this machine and prints them instead; that takes some minutes.
"""

import argparse
import sys

from tests.benchmarks.scaling import arithmetic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="measure the costs anew, and print them")
    parser.add_argument("--rounds", type=int, default=3, help="of which medians are told")
    parser.add_argument("--dsn", help="a superuser's DSN of the PostgreSQL to measure, TimescaleDB say")
    asked = parser.parse_args()
    if not asked.measure:
        print("\n\n".join(f"{name}\n\n{table}" for name, table in arithmetic.tables().items()))
        return
    from tests.benchmarks.scaling.measure import measure  # noqa: PLC0415  # the arithmetic alone needs no broker

    costs = measure(asked.dsn, asked.rounds, lambda line: print(line, file=sys.stderr, flush=True))
    for table, values in costs.items():
        print(f"[{table}]", *(f"{name} = {value:g}" for name, value in values.items()), "", sep="\n")


if __name__ == "__main__":
    main()
