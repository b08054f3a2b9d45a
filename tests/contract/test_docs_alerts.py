"""deploy/prometheus: rules that ask for what is exported, say what to do, and fire when they should and only then."""

import re
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml

from gateway.settings import Settings
from tests.contract import exported

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES: dict[str, Any] = yaml.safe_load((FOLDER / "alerts.yml").read_text())
TESTS: dict[str, Any] = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}

promtool = pytest.mark.skipif(
    which("promtool") is None, reason="promtool (Debian's package prometheus) is not on the PATH"
)


def ran(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False)


def anchor(heading: str) -> str:
    """Return what a page's heading is linked by."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def about(alert: str) -> list[dict[str, Any]]:
    """Return the tests that name an alert."""
    return [test for test in TESTS["tests"] if re.search(rf"\b{alert}\b", str(test))]


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_asks_for_series_that_exist(alert: str) -> None:
    """An alert over a metric that nobody exports never fires, and nobody notices."""
    assert set() == exported.unknown(ALERTS[alert]["expr"])


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_says_what_is_wrong_what_to_do_and_where_to_read_on(alert: str) -> None:
    """A severity, one sentence, a remedy, and a section of the page that exists."""
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    said = rule["annotations"]
    assert {"summary", "description", "runbook"} == set(said)
    assert said["summary"].endswith(".")
    assert said["description"].endswith(".")
    page, _, place = said["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert place in {anchor(heading) for heading in headings}


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_the_page_names_the_alert_under_its_heading(alert: str) -> None:
    """Whoever searches the page for an alert's name finds the section that its runbook links to."""
    page, _, place = ALERTS[alert]["annotations"]["runbook"].partition("#")
    sections = re.split(r"^#+ ", (ROOT / page).read_text(), flags=re.MULTILINE)
    (section,) = [text for text in sections if anchor(text.splitlines()[0] if text else "") == place]
    assert f"`{alert}`" in section


def test_the_page_makes_no_alert_up() -> None:
    """What the page says fires, does."""
    page = (ROOT / "docs" / "operating.md").read_text()
    assert set() == set(re.findall(r"`(Wearwell[A-Z]\w+)`", page)) - set(ALERTS)


def test_settings_that_alerts_name_exist() -> None:
    """A remedy that names a setting names one that there is."""
    named = set(re.findall(r"WEARWELL_[A-Z_]+[A-Z]", (FOLDER / "alerts.yml").read_text()))
    assert set() == {name.removeprefix("WEARWELL_").lower() for name in named} - set(Settings.model_fields)


@promtool
def test_prometheus_takes_rules_and_configuration() -> None:
    """Its own judgement of both files."""
    for words in (("check", "rules", "alerts.yml"), ("check", "config", "prometheus.yml")):
        done = ran(*words)
        assert 0 == done.returncode, done.stdout + done.stderr


@promtool
def test_alerts_fire_when_they_should_and_only_then() -> None:
    """All rules and all tests, as they are shipped."""
    done = ran("test", "rules", "alerts_test.yml")
    assert 0 == done.returncode, done.stdout + done.stderr


PLANTED = {"never": "vector(1) < 0", "always": "vector(1)", "at once": ""}
PLANTS = [
    pytest.param(alert, planted, id=f"{alert}, {name}")
    for alert in sorted(ALERTS)
    for name, planted in PLANTED.items()
    if planted or "for" in ALERTS[alert]  # an alert that waits for nothing cannot come too early
]


@promtool
@pytest.mark.parametrize(("alert", "planted"), PLANTS)
def test_a_rule_that_does_not_watch_is_found(alert: str, planted: str, tmp_path: Path) -> None:
    """Each alert has tests in which it must fire, in which it must not, and not yet: with each fault, one turns red."""
    rule = ALERTS[alert] | {"for": "0s", "expr": planted or ALERTS[alert]["expr"]}
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump({"groups": [{"name": "planted", "rules": [rule]}]}))
    whole = TESTS | {"tests": about(alert)}
    (tmp_path / "alerts_test.yml").write_text(yaml.safe_dump(whole))
    done = ran("test", "rules", tmp_path / "alerts_test.yml")
    assert 0 != done.returncode, "no test of this alert noticed"
    assert alert in done.stdout + done.stderr
