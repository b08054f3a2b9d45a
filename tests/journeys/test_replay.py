"""Recorded data of real units go through the same door as live ones: `wearwell replay`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parents[3] / "shared" / "data"
SOMEBODYS = """
WEARWELL_DATABASE_DSN=postgresql://wearwell_service:secret@127.0.0.1:1/wearwell
WEARWELL_MQTT_URL=mqtt://127.0.0.1:1
WEARWELL_KAFKA_URL=kafka://127.0.0.1:1
"""


def replay(folder: str) -> list[dict[str, Any]]:
    if not (DATA / folder).is_dir():
        pytest.skip(f"the recorded data of {folder} are not on this machine")
    command = [sys.executable, "-m", "gateway.cli", "replay", str(DATA / folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert 0 == done.returncode, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


@pytest.mark.timeout(330)
def test_messages_of_real_purifiers_land_as_readings_of_the_right_unit_and_slot() -> None:
    """Hours left, percent left, and what a unit without a filter says; nothing is lost and little is refused."""
    rows = {(row["unit"], row["slot"]): row for row in replay("dyson-mqtt")}
    depleting = rows["455.2", "filter"]
    assert ("left_h", 2899, 2877, "2020-01-28") == tuple(
        depleting[name] for name in ("channel", "first", "last", "forecast_on")
    )
    assert "measured" == depleting["basis"]
    assert depleting["eol_q10"] < depleting["eol_q50"] < depleting["eol_q90"]
    assert (100, 91) == tuple(rows["438E.1", "hepa"][name] for name in ("first", "last"))
    assert rows["358-v1.4", "carbon"]["last"] is None  # no carbon filter is fitted: its number means nothing
    assert {"unbelievable"} >= {reason for row in rows.values() for reason in row["refused"]}


@pytest.mark.timeout(330)
def test_clogging_filters_are_forecast_beside_the_truth() -> None:
    """Forecasts as they stood at 50, 70 and 90 % of life: closer and narrower the longer a filter runs."""
    rows = replay("phme20")
    at = {fraction: [row for row in rows if row["fraction"] == fraction] for fraction in (0.5, 0.7, 0.9)}
    assert [12, 12, 12] == [len(of) for of in at.values()]
    errors = [mean(abs(row["q50"] - row["truth_s"]) for row in of) for of in at.values()]
    widths = [mean(row["q90"] - row["q10"] for row in of) for of in at.values()]
    assert sorted(errors, reverse=True) == errors
    assert sorted(widths, reverse=True) == widths
    assert errors[-1] < 0.05 * mean(row["truth_s"] for row in rows)
    assert mean(row["q10"] <= row["truth_s"] <= row["q90"] for row in rows) >= 0.7
    assert {"measured"} == {row["basis"] for row in rows}


@pytest.mark.timeout(330)
def test_a_replay_asks_for_no_service_that_settings_name(tmp_path: Path) -> None:
    """Beside a `.env` and in an environment that lead to a deployment, it has a database and a broker of its own."""
    (tmp_path / ".env").write_text(SOMEBODYS)
    said = {"msg": "CURRENT-SENSOR-DATA", "time": "2026-03-01T12:00:00.000Z", "data": {"tact": "2950", "hact": "0040"}}
    (tmp_path / "455.jsonl").write_text(json.dumps(said) + "\n")
    env = os.environ | {"PYTHONPATH": str(ROOT), "WEARWELL_DATABASE_DSN": "postgresql://127.0.0.1:1/wearwell"}
    command = [sys.executable, "-m", "gateway.cli", "replay", "455.jsonl", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert 0 == done.returncode, done.stderr
    assert ["455.1"] == [row["unit"] for row in json.loads(done.stdout)]
    assert {".env", "455.jsonl"} == {path.name for path in tmp_path.iterdir()}
