"""The house's import rules are enforced: every room is in the contracts, and a fault planted against each turns red."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "predictors", "commerce", "firmware_stubs")
CONTRACTS = [
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]
FAULTS = {
    # who, what it must not import: the contract that says so
    ("gateway.registry.planted", "gateway.web.pages"): "The gateway is walked from the top down",
    ("gateway.ingest.planted", "gateway.replenish.score"): "The gateway is walked from the top down",
    ("gateway.replenish.planted", "gateway.ingest.store"): "The gateway is walked from the top down",
    ("gateway.app_planted", None): "The gateway is walked from the top down",
    ("predictors.planted", "psycopg"): "Predictors know nobody of ours",
    ("commerce.planted", "gateway.clock"): "Commerce knows neither the gateway nor the predictors",
    ("commerce.planted_too", "predictors.weibull"): "Commerce knows neither the gateway nor the predictors",
    ("firmware_stubs.planted", "gateway.events"): "Firmware stubs know only the wire",
    ("gateway.web.planted", "stripe"): "Stripe is spoken to in one file",
    ("commerce.planted_till", "stripe"): "Stripe is spoken to in one file",
    ("gateway.web.planted_too", "paho.mqtt.client"): "MQTT is spoken in the broker's files",
    ("gateway.replenish.planted_too", "aiomqtt"): "MQTT is spoken in the broker's files",
    ("gateway.cli.planted", "amqtt.broker"): "MQTT is spoken in the broker's files",
    ("gateway.notify.planted", "aiokafka"): "Kafka is spoken in the log's files",
    ("gateway.demo.planted", "tests.shop"): "What is shipped knows no tests",
    ("gateway.operate.planted", "pytest"): "What is shipped knows no tests",
}


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of a copy of the house with every fault planted."""
    copy = tmp_path_factory.mktemp("house")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for who, what in FAULTS:
        (copy / f"{who.replace('.', '/')}.py").write_text(f"import {what}\n" if what else "")
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    done = subprocess.run(
        command,
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 1 == done.returncode, done.stderr
    return done.stdout


def test_every_contract_has_its_planted_fault() -> None:
    """A contract that nothing could break would be a decoration."""
    assert set(CONTRACTS) == set(FAULTS.values())


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_planted_fault_breaks_its_contract(verdict: str, contract: str) -> None:
    """Each rule turns red at what it forbids."""
    assert f"{contract} BROKEN" in verdict


@pytest.mark.parametrize(("who", "what"), FAULTS, ids=str)
def test_a_planted_fault_is_named(verdict: str, who: str, what: str | None) -> None:
    """The fault itself stands in the verdict, under the contract that it breaks; a room nobody placed does so too."""
    contract = FAULTS[who, what]
    said = re.split(rf"^{re.escape(contract)}$", verdict, flags=re.MULTILINE)[1].split("\n---")
    body = "\n---".join(said[:2])
    assert who.removeprefix("gateway.") in body if what is None else who in body, body


def test_the_web_holds_no_sql() -> None:
    """Pages ask the rooms below by functions; a query in a page would be found by nobody who looks for it."""
    found = []
    for path in sorted((ROOT / "gateway" / "web").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            calls = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if calls and node.func.attr in ("execute", "executemany", "copy", "cursor"):  # type: ignore[attr-defined]  # `calls` says that it has one
                found.append(f"{path.name}:{node.lineno}")  # type: ignore[attr-defined]  # `calls` says that it has one
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value.strip().lower()
                if re.match(
                    r"(select\s.+\sfrom|insert into|update \w+ set|delete from|with \w+ as \()\s", text, re.DOTALL
                ):
                    found.append(f"{path.name}:{node.lineno}")
    assert [] == found
