"""docker-compose.yml, the Dockerfile and Mosquitto's configuration name only what exists, and no secret."""

import os
import re
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from shutil import copy, which
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from commerce.standin import __main__ as standin
from firmware_stubs.__main__ import arguments
from gateway.cli import app
from gateway.operate import mosquitto
from gateway.settings import Settings
from gateway.web import guard

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("build") == "."}


def settings_of(service: dict[str, Any]) -> set[str]:
    return {name for name in service.get("environment", {}) if name.startswith("WEARWELL_")}


def test_every_process_of_the_deployment_is_there() -> None:
    """Store, broker, the three processes, migrations once, a fleet, somewhere for mail to go."""
    assert {"database", "mosquitto", "migrate", "serve", "ingest", "work", "fleet", "mailpit"} <= set(SERVICES)


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_setting_exists(name: str) -> None:
    """A setting that is misspelt here would be ignored there."""
    known = {f"WEARWELL_{field.upper()}" for field in Settings.model_fields}
    assert set() == settings_of(OURS[name]) - known


def test_every_command_exists() -> None:
    """What a container is told to run, the command line knows."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for name, service in OURS.items():
        if "entrypoint" not in service:
            assert service["command"][0] in group.commands, name
    lines = re.findall(r"wearwell ([a-z-]+)(?: (import))?", SERVICES["seed"]["command"][0])
    for first, second in lines:
        command = group.commands[first]
        assert not second or second in command.commands  # type: ignore[attr-defined]  # a group, then


def test_the_stubs_and_the_stand_in_take_their_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """The fleet's options are the fleet's, the stand-in's are the stand-in's."""
    assert ["python", "-m", "firmware_stubs"] == SERVICES["fleet"]["entrypoint"]
    assert 60 == arguments(SERVICES["fleet"]["command"]).history_days
    assert ["python", "-m", "commerce.standin"] == SERVICES["payments"]["entrypoint"]
    given = standin.arguments([word.split("${", maxsplit=1)[0] for word in SERVICES["payments"]["command"]])
    assert 8090 == given.port
    assert "" == capsys.readouterr().err


@pytest.fixture
def example(tmp_path: Path) -> dict[str, str]:
    """What `make compose-env` writes."""
    (tmp_path / "deploy").mkdir()
    copy(ROOT / "deploy" / "env", tmp_path / "deploy")
    subprocess.run([tmp_path / "deploy" / "env"], capture_output=True, check=True)
    return dict(re.findall(r"^(\w+)=(.*)$", (tmp_path / ".env").read_text(), re.MULTILINE))


def filled(text: str, env: dict[str, str]) -> str:
    """Put an environment into a value of the file, as Compose does."""
    return re.sub(r"\$\{(\w+):([-?])([^}]*)\}", lambda m: env.get(m[1]) or (m[3] if m[2] == "-" else ""), text)


def settings_in(name: str, env: dict[str, str]) -> Settings:
    """What a process of ours reads in its container."""
    given = {
        key.removeprefix("WEARWELL_").lower(): filled(text, env) for key, text in OURS[name]["environment"].items()
    }
    return Settings(_env_file=None, **{key: text for key, text in given.items() if text})  # type: ignore[arg-type]  # text, as an environment holds it


def test_an_order_of_the_example_may_lead_to_the_stand_in_s_page(example: dict[str, str]) -> None:
    """A browser finds the stand-in on a published port, under another address than the gateway does."""
    command = [filled(word, example) for word in SERVICES["payments"]["command"]]
    pages = standin.arguments(command).pages
    assert [pages] == guard.checkout_origins(settings_in("serve", example))
    assert any(port.startswith(f"{urlsplit(pages).netloc}:") for port in SERVICES["payments"]["ports"])


def test_a_proxy_on_the_host_is_believed_and_no_other(example: dict[str, str]) -> None:
    """What comes through the published port has the address of the network's gateway, which the file fixes."""
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    assert ip_address(network["gateway"]) in ip_network(network["subnet"])
    assert [network["gateway"]] == settings_in("serve", example).trusted_proxies
    named = example | {"WEARWELL_TRUSTED_PROXIES": "192.0.2.7"}
    assert ["192.0.2.7"] == settings_in("serve", named).trusted_proxies


def test_no_secret_has_a_default() -> None:
    """A password is required or empty, never a word that stands in the file."""
    text = (ROOT / "docker-compose.yml").read_text()
    secret = re.findall(r"\$\{(\w*(?:PASSWORD|SECRET|KEY)\w*)([^}]*)\}", text)
    assert secret
    assert [] == [(name, rest) for name, rest in secret if rest != ":-" and not rest.startswith(":?")]


def test_every_secret_is_made_by_the_script() -> None:
    """`make compose-env` writes whatever the file asks for."""
    text = (ROOT / "docker-compose.yml").read_text()
    asked = set(re.findall(r"\$\{(\w+):\?", text))
    made = set(re.findall(r"^(\w+)=", (ROOT / "deploy" / "env").read_text(), re.MULTILINE))
    assert set() == asked - made


def test_ports_are_published_on_loopback_only() -> None:
    """Nothing of this is on the network until somebody puts it there."""
    published = [str(port) for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert [] == [port for port in published if not port.startswith("127.0.0.1:")]


def test_mounted_files_exist_and_volumes_are_declared() -> None:
    """A bind mount of what is not there makes an empty folder; a volume that is not declared does not start."""
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], (name, source)


def test_services_wait_for_services_that_exist() -> None:
    """A name in depends_on is a service."""
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= set(SERVICES), name


EXAMPLE, OBSERVE = {"seed", "fleet", "payments", "mailpit"}, {"prometheus", "grafana"}


def started(profiles: set[str]) -> dict[str, dict[str, Any]]:
    """What `docker compose up` starts with these profiles."""
    return {name: service for name, service in SERVICES.items() if set(service.get("profiles", profiles)) <= profiles}


def test_the_example_is_a_profile_that_the_script_turns_on() -> None:
    """A newcomer's first `docker compose up` has a fleet to look at; removing one part of .env leaves it out."""
    assert set(SERVICES) - EXAMPLE - OBSERVE == set(started(set()))
    assert set(SERVICES) - OBSERVE == set(started({"example"}))
    assert set(SERVICES) == set(started({"example", "observe"}))
    example = (ROOT / "deploy" / "env").read_text().split("# The example")[1]
    for line in (
        "COMPOSE_PROFILES=example",
        "WEARWELL_SMTP_URL=smtp://mailpit:",
        "WEARWELL_STRIPE_URL=http://payments:",
    ):
        assert line in example


def test_the_page_s_lines_for_containers_are_whole() -> None:
    """A command that reads or writes files has your folder, as you; naming a profile leaves out no other."""
    page = (ROOT / "docs" / "operating.md").read_text()
    alone = section(page, "On one machine").split("```")[1]
    own = [line.split("#")[0].split() for line in alone.strip().splitlines()[1:] if "wearwell up" not in line]
    found = re.findall(r"^docker compose -f FILE (run .*?) serve (.*)$", section(page, "Containers"), re.MULTILINE)
    shown = {words: how for how, words in found}
    assert [" ".join(words[1:]) for words in own] == list(shown)
    for words, how in shown.items():
        assert ('-u "$(id -u):$(id -g)" -v "$PWD:/files" -w /files' in how) == (".csv" in words or ".toml" in words)
    assert set(SERVICES) == set(started(set(re.findall(r"--profile (\w+)", section(page, "Containers")))))


def section(page: str, title: str) -> str:
    return page.split(f"\n## {title}\n")[1].split("\n## ", maxsplit=1)[0]


def test_without_the_example_the_file_is_whole() -> None:
    """Nobody has to wait for a service that was left out, and no setting's default names one."""
    left = started(set())
    for name, service in left.items():
        needed = {
            other
            for other, how in service.get("depends_on", {}).items()
            if not isinstance(how, dict) or how.get("required", True)
        }
        assert set() == needed - set(left), name
        text = str(service.get("environment", ""))
        assert [] == [gone for gone in sorted(EXAMPLE) if f"//{gone}:" in text], name


def test_prometheus_asks_every_process_of_ours_where_it_answers() -> None:
    """A target is a service of ours at its metrics port, which is served among the containers only."""
    asked = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    (job,) = asked["scrape_configs"]
    assert "wearwell" == job["job_name"]  # alerts name it
    port = Settings.model_fields["metrics_port"].default
    assert [f"{name}:{port}" for name in ("serve", "ingest", "work")] == job["static_configs"][0]["targets"]
    for name in ("serve", "ingest", "work"):
        assert not SERVICES[name]["environment"]["WEARWELL_METRICS_HOST"].startswith("127.")
        assert not [published for published in SERVICES[name].get("ports", []) if str(port) in str(published)]


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    """The source is a service, and the folder of dashboards is the one that ours is mounted in."""
    folder = ROOT / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert "http://prometheus:9090" == source["url"]
    (provider,) = yaml.safe_load((folder / "dashboards" / "wearwell.yml").read_text())["providers"]
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert f"{provider['options']['path']}/wearwell.json" == mounted["./deploy/grafana/wearwell.json"]
    assert "/etc/grafana/provisioning" == mounted["./deploy/grafana/provisioning"]
    assert "/etc/prometheus" == dict(v.split(":")[:2] for v in SERVICES["prometheus"]["volumes"])["./deploy/prometheus"]


def test_the_broker_s_files_are_written_after_the_migrations_with_the_example_or_without() -> None:
    """Without a seed nothing else would make it wait for the tables that it reads."""
    assert "migrate" in SERVICES["broker-files"]["depends_on"]


@pytest.mark.parametrize("profiles", [(), ("example",), ("observe",)], ids=["own", "example", "observe"])
def test_compose_itself_takes_the_file(profiles: tuple[str, ...]) -> None:
    """Docker's own judgement, where it is installed; it needs no daemon for that."""
    asked = (
        subprocess.run(["docker", "compose", "version"], capture_output=True, check=False) if which("docker") else None
    )
    if asked is None or asked.returncode:
        pytest.skip("no docker compose on this machine")
    secrets = dict.fromkeys(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()), "x" * 24)
    flags = [word for profile in profiles for word in ("--profile", profile)]
    command = ["docker", "compose", "--env-file", os.devnull, *flags, "config", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | secrets, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr


def test_the_image_holds_what_the_wheel_needs_and_runs_without_rights() -> None:
    """Every package is copied, the packages are pinned by hash, and the account is no superuser."""
    text = (ROOT / "Dockerfile").read_text()
    for package in ("gateway", "predictors", "commerce", "firmware_stubs"):
        assert f"COPY {package} ./{package}" in text
        assert f"!{package}\n" in (ROOT / ".dockerignore").read_text()
    assert "--require-hashes -r requirements.lock" in text
    assert "\nUSER wearwell\n" in text


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_the_deployed_broker_is_configured_as_the_embedded_one() -> None:
    """What is tested on every machine is what runs in containers: the same lines, but for places and addresses."""
    deployed = lines_of((ROOT / "deploy" / "mosquitto" / "mosquitto.conf").read_text())
    own = lines_of(
        mosquitto.CONFIG.format(
            user="", folder="X", units_port=1884, gateway_port=1883, host="", max_packet=131_072, queue=100_000
        )
    )
    places = ("password_file", "acl_file", "persistence_location", "include_dir")
    assert [line for line in own if not line.startswith(places)] == [
        line for line in deployed if not line.startswith(places)
    ]
    assert "allow_anonymous false" in deployed
