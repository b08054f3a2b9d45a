"""The demo walks the whole loop by itself: here on a machine without Mosquitto, from the wheel on one with it."""

import csv
import os
import re
import subprocess
import sys
from decimal import Decimal
from importlib import resources
from pathlib import Path

import pytest

from gateway.demo.browser import Browser, NoSuchForm, forms
from gateway.errors import WearwellError

ROOT = Path(__file__).parents[2]
WITHOUT_MOSQUITTO = """
from gateway.operate import mosquitto
mosquitto.find = lambda: None
from gateway.cli import main
main()
"""
SOMEBODYS = """
WEARWELL_DATABASE_DSN=postgresql://wearwell_service:secret@127.0.0.1:1/wearwell
WEARWELL_MQTT_URL=mqtt://127.0.0.1:1
WEARWELL_KAFKA_URL=kafka://127.0.0.1:1
"""
LIMIT_S = 600  # many times what it takes: on a busy machine each step comes late, or the next time round
STEPS = ("readings", "forecast", "prompt", "order", "charge", "shipped", "delivered", "fitted", "next cycle")


@pytest.mark.timeout(LIMIT_S + 200)
def test_the_loop_closes_without_mosquitto(tmp_path: Path) -> None:
    """From published readings to the next cycle over amqtt: every step has its line and its figures.

    It does so beside a `.env` that names a database, a broker and a log, none of which it may ask.
    """
    (tmp_path / ".env").write_text(SOMEBODYS)
    env = {name: value for name, value in os.environ.items() if not name.startswith("WEARWELL_")}
    env |= {"PYTHONPATH": str(ROOT), "WEARWELL_SMTP_URL": "smtp://mail.example.com", "WEARWELL_STRIPE_KEY": "rk_live_1"}
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_MOSQUITTO, "demo", "--once", "--units", "6", "--limit", str(LIMIT_S)],
        env=env,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S + 150,
        check=False,
    )
    assert 0 == ended.returncode, ended.stderr
    told = re.findall(r"^ *[\d.]+ s  (\w+(?: cycle)?) +(\S.*)$", ended.stdout, re.MULTILINE)
    assert STEPS == tuple(step for step, _ in told)
    said = dict(told)
    assert int(said["readings"].split()[0].replace(",", "")) > 1_000
    assert "0 quarantined" in said["readings"]
    (total,) = (total for part, total in _totals().items() if f": {part}, " in said["order"])
    assert said["order"].endswith(f", {total}")
    assert said["charge"].startswith(f"{total} captured, once")
    assert "kept as a label" in said["next cycle"]
    assert [".env"] == [path.name for path in tmp_path.iterdir()]  # it leaves nothing behind


def _totals() -> dict[str, str]:
    """Return what each part costs with its shipping: which wears out first depends on how far the world has gone."""
    parts = csv.DictReader((resources.files("gateway.demo") / "parts.csv").read_text("utf-8").splitlines())
    return {part["name"]: f"€{Decimal(part['price']) + Decimal(part['shipping'])}" for part in parts}


def test_a_folder_of_an_earlier_demo_is_left_alone(tmp_path: Path) -> None:
    """Somebody may still want to look at it."""
    (tmp_path / "fleet.csv").write_text("precious")
    command = [sys.executable, "-m", "gateway.cli", "demo", "--once", "--folder", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert 1 == ended.returncode
    assert "earlier demo" in ended.stderr
    assert ["fleet.csv"] == [path.name for path in tmp_path.iterdir()]


def test_a_form_is_read_as_a_browser_reads_it() -> None:
    """Hidden fields, the chosen radio button and the button's own name go along; what is not chosen does not."""
    (form,) = forms("""<form method="post" action="/p/x/order"><input type="hidden" name="page" value="n1">
        <input type="radio" name="card" value="a"><input type="radio" name="card" value="b" checked>
        <input type="checkbox" name="keep"><button name="do" value="it">Order</button></form><input name="outside">""")
    assert ("/p/x/order", "post") == (form.action, form.method)
    assert {"page": "n1", "card": "b", "do": "it"} == form.fields


def test_a_page_without_the_button_is_named() -> None:
    """The demo says which page lacks what, instead of failing further on."""
    with Browser() as browser:
        with pytest.raises(NoSuchForm, match="/order"):
            browser.press("/order")
        with pytest.raises(WearwellError, match=r"127\.0\.0\.1:9"):
            browser.open("http://127.0.0.1:9/")
