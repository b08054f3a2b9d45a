"""Run every benchmark in turn and print its figures: `python -m tests.benchmarks`."""

import runpy
import sys
from pathlib import Path

for file in sorted(Path(__file__).parent.glob("[!_]*")):
    sys.stdout.write(f"\n{file.stem}\n")
    sys.stdout.flush()
    sys.argv = [file.stem]
    runpy.run_module(f"tests.benchmarks.{file.stem}", run_name="__main__")
