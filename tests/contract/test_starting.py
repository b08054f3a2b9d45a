"""What a process loads before it works: ingest starts in the time of its own rooms, not of the whole house."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_FOR_INGEST = ("sklearn", "scipy", "fastapi", "uvicorn", "stripe", "jinja2", "predictors", "gateway.web", "aiokafka")
STARTED = """
import sys
from gateway.ingest import service
service.run = lambda *_, **__: print("loaded", *sys.modules)
from gateway.cli import main
sys.argv = ["wearwell", "ingest"]
main()
"""


def test_ingest_loads_neither_the_web_nor_the_wear_models() -> None:
    """`wearwell ingest` is restarted under load: each second that it imports is a second that units wait."""
    env = os.environ | {
        "WEARWELL_DATABASE_DSN": "postgresql://nobody@127.0.0.1:1/none",
        "WEARWELL_METRICS_PORT": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", STARTED], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )
    [line] = [line for line in done.stdout.splitlines() if line.startswith("loaded ")]
    loaded = set(line.split())
    assert "gateway.ingest.broker" in loaded
    assert [] == [name for name in NOT_FOR_INGEST if name in loaded]


def test_a_start_that_fails_ends() -> None:
    """What ingest had begun ends with it: a process that stayed would never be started again."""
    code = (
        "import sys; sys.modules['aiokafka'] = None; sys.argv = ['wearwell', 'ingest'];"
        " from gateway.cli import main; main()"
    )
    env = os.environ | {
        "WEARWELL_DATABASE_DSN": "postgresql://nobody@127.0.0.1:1/none",
        "WEARWELL_KAFKA_URL": "kafka://127.0.0.1:1",
        "WEARWELL_METRICS_PORT": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert 3 == done.returncode, done.stderr
    assert "wearwell[kafka]" in done.stderr
