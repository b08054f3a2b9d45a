"""A wrong setting stops the start with one line that says which and why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import addresses, settings
from gateway.errors import ConfigurationError, Exit

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DATABASE_DSN", "nonsense", "WEARWELL_DATABASE_DSN: must look like postgresql://"),
        ("DATABASE_DSN", "postgresql://host:99999/wearwell", "WEARWELL_DATABASE_DSN: its port must be a number"),
        ("DATABASE_ADMIN_DSN", "nonsense", "WEARWELL_DATABASE_ADMIN_DSN: must look like postgresql://"),
        ("MQTT_URL", "localhost", "WEARWELL_MQTT_URL: must look like mqtt://"),
        ("MQTT_URL", "mqtt://h:99999", "WEARWELL_MQTT_URL: must look like mqtt://host:1883"),
        ("MQTT_URL", "mqtt://me:secret@h", "WEARWELL_MQTT_URL: must hold no login"),
        ("MQTT_CA_FILE", "/nonexistent", "WEARWELL_MQTT_CA_FILE: holds no certificate that can be read (No such file"),
        ("MQTT_CA_FILE", "pyproject.toml", "WEARWELL_MQTT_CA_FILE: holds no certificate"),
        ("MQTT_SUBSCRIPTIONS", "a/#/b", "WEARWELL_MQTT_SUBSCRIPTIONS: 'a/#/b' is no topic filter"),
        ("MQTT_SUBSCRIPTIONS", "ww/v1/a+/tlm", "WEARWELL_MQTT_SUBSCRIPTIONS: 'ww/v1/a+/tlm' is no topic filter"),
        ("MQTT_SUBSCRIPTIONS", "$share/ww", "WEARWELL_MQTT_SUBSCRIPTIONS: '$share/ww' is no shared subscription"),
        ("MQTT_SUBSCRIPTIONS", ",", "WEARWELL_MQTT_SUBSCRIPTIONS: must name at least one"),
        ("KAFKA_URL", "broker:9092", "WEARWELL_KAFKA_URL: must look like kafka://host:9092 or kafkas://"),
        ("KAFKA_URL", "kafka://one:9092,two:99999", "WEARWELL_KAFKA_URL: must look like kafka://"),
        ("KAFKA_URL", "kafka://one,", "WEARWELL_KAFKA_URL: must look like kafka://"),
        ("KAFKA_URL", "kafka://one/topic", "WEARWELL_KAFKA_URL: must look like kafka://"),
        ("KAFKA_URL", "kafka://me:secret@one", "WEARWELL_KAFKA_URL: must hold no login"),
        ("KAFKA_USERNAME", "me", "kafka_username and kafka_password belong together"),
        ("KAFKA_KEY_FILE", "pyproject.toml", "kafka_cert_file and kafka_key_file belong together"),
        ("KAFKA_CERT_FILE", "/nonexistent", "WEARWELL_KAFKA_CERT_FILE: is no file that can be read"),
        ("KAFKA_CA_FILE", "pyproject.toml", "WEARWELL_KAFKA_CA_FILE: holds no certificate"),
        ("KAFKA_SASL", "GSSAPI", "WEARWELL_KAFKA_SASL"),
        ("KAFKA_TOPICS", ",", "WEARWELL_KAFKA_TOPICS: must name at least one"),
        ("KAFKA_TOPICS", "ww/v1/+/tlm", "WEARWELL_KAFKA_TOPICS: 'ww/v1/+/tlm' is no Kafka topic"),
        ("KAFKA_TOPICS", "ww.v1.down", "kafka_down_topic must not be one of kafka_topics"),
        ("PUBLIC_URL", "http://", "WEARWELL_PUBLIC_URL: must look like http://"),
        ("PUBLIC_URL", "https://host/?a=b", "WEARWELL_PUBLIC_URL: must hold nothing behind its path"),
        ("SMTP_URL", "smtp://host:99999", "WEARWELL_SMTP_URL: must look like smtp://"),
        ("SMTP_URL", "foo", "WEARWELL_SMTP_URL: must look like smtp://"),
        ("MAIL_FROM", "Wearwell", "WEARWELL_MAIL_FROM: must be a mail address"),
        ("MAIL_FROM", "Wearwell <no-reply>", "WEARWELL_MAIL_FROM: must be a mail address"),
        ("STRIPE_URL", "nonsense", "WEARWELL_STRIPE_URL: must look like http://"),
        ("TRUSTED_PROXIES", "proxy.example", "WEARWELL_TRUSTED_PROXIES: 'proxy.example' is no IP address"),
        ("TRUSTED_PROXIES", "*", "WEARWELL_TRUSTED_PROXIES: '*' is no IP address"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "WEARWELL_TRUSTED_PROXIES: '10.0.0.1/8' is no IP address"),
        ("STRIPE_PAGES_URL", "http://127.0.0.1:8090", "stripe_pages_url belongs to the stand-in"),
        ("PACE", "foo", "WEARWELL_PACE: must be origin,since,speed"),
        ("PACE", "2026-01-01,2026-01-01,2", "WEARWELL_PACE: must be origin,since,speed"),
        ("HTTP_PORT", "80000", "WEARWELL_HTTP_PORT"),
        ("LOG_LEVEL", "loud", "WEARWELL_LOG_LEVEL"),
        ("STRIPE_KEY", "rk_test_1", "needs stripe_webhook_secrets"),
        ("MQTT_ULR", "mqtt://broker", "did you mean WEARWELL_MQTT_URL"),
        ("FLUX", "1", "WEARWELL_FLUX is not a setting"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    """One line: the setting, what is wrong, where to look."""
    monkeypatch.setenv(f"WEARWELL_{name}", value)
    with pytest.raises(ConfigurationError, match=r"docs/operating\.md") as caught:
        settings.load()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fast_world_meets_neither_real_payments_nor_real_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's pace is refused beside Stripe itself, and beside a mail server that is not on this machine."""
    monkeypatch.setenv("WEARWELL_PACE", "2026-01-01T00:00:00+00:00,2026-01-01T00:00:00+00:00,86400")
    monkeypatch.setenv("WEARWELL_SMTP_URL", "smtp://mail.example.com")
    with pytest.raises(ConfigurationError, match="real mail server"):
        settings.load()
    monkeypatch.delenv("WEARWELL_SMTP_URL")
    monkeypatch.setenv("WEARWELL_STRIPE_KEY", "rk_live_1")
    monkeypatch.setenv("WEARWELL_STRIPE_WEBHOOK_SECRETS", "whsec_1")
    with pytest.raises(ConfigurationError, match="real payments"):
        settings.load()


def test_a_password_is_shown_to_nobody_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login that is shown as it stands is refused where the connection is not TLS and not on this machine."""
    monkeypatch.setenv("WEARWELL_KAFKA_USERNAME", "me")
    monkeypatch.setenv("WEARWELL_KAFKA_PASSWORD", "hunter2")
    monkeypatch.setenv("WEARWELL_KAFKA_SASL", "PLAIN")
    for url in ("kafkas://one", "kafka://127.0.0.1:9092"):
        monkeypatch.setenv("WEARWELL_KAFKA_URL", url)
        settings.load()
    monkeypatch.setenv("WEARWELL_KAFKA_URL", "kafka://127.0.0.1,one")
    with pytest.raises(ConfigurationError, match="shows the password"):
        settings.load()


def test_a_secret_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was given is not repeated: it may be a password in the wrong place."""
    monkeypatch.setenv("WEARWELL_HTTP_PORT", "hunter2")
    with pytest.raises(ConfigurationError) as caught:
        settings.load()
    assert "hunter2" not in str(caught.value)


def test_a_deployment_that_stands_for_itself_is_led_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment nor a `.env` says where the demo's database is; the folder that it was given does."""
    (tmp_path / ".env").write_text("WEARWELL_DATABASE_DSN=postgresql://db.example/wearwell\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEARWELL_MQTT_URL", "mqtt://broker.example")
    monkeypatch.setenv("wearwell_kafka_url", "kafka://log.example")
    found = settings.alone(tmp_path / "data", metrics_port=0)
    assert {"data_dir", "metrics_port"} == found.model_fields_set
    assert tmp_path / "data" == found.data_dir
    assert not [name for name in settings.environment() if name.upper().startswith("WEARWELL_")]
    with pytest.raises(ConfigurationError, match="name another folder"):
        settings.alone(tmp_path)


@pytest.mark.parametrize("name", ["DATABASE_DSN", "SMTP_URL", "MQTT_URL", "KAFKA_URL"])
def test_a_secret_in_an_address_is_in_no_message(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An address may hold a password: what is said of it does not repeat it."""
    monkeypatch.setenv(f"WEARWELL_{name}", "scheme://me:hunter2@host:99999")
    with pytest.raises(ConfigurationError) as caught:
        settings.load()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_DSN", "host=/run/postgresql dbname=wearwell"),
        ("DATABASE_DSN", "postgresql://me:p%40ss@one:5432,two:5433/wearwell?sslmode=verify-full"),
        ("MQTT_URL", "mqtts://[::1]:8883"),
        ("MQTT_SUBSCRIPTIONS", "$share/wearwell/ww/v1/+/tlm,+/+/status/#,#"),
        ("KAFKA_URL", "kafkas://one:9093,two:9093,[::1]"),
        ("KAFKA_TOPICS", "ww.v1.tlm,ww.v1.evt"),
        ("SMTP_URL", "smtps://me:p%40ss@mail.example.com"),
        ("MAIL_FROM", "An appliance maker <care@example.com>"),
        ("MAIL_FROM", "care@example.com"),
        ("STRIPE_URL", "http://payments:8090"),
        ("TRUSTED_PROXIES", "192.0.2.7,10.0.0.0/8,fd00::/8,::1"),
    ],
)
def test_what_is_right_is_let_pass(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A check that refuses what works would be worse than none."""
    monkeypatch.setenv(f"WEARWELL_{name}", value)
    settings.load()


def test_kafka_brokers_are_told_as_their_client_takes_them() -> None:
    """Each with a port; an IPv6 address in its brackets, or its last group would be one."""
    assert (True, ["one:9093", "[::1]:19092"]) == addresses.kafka_servers("kafkas://one,[::1]:19092")


def test_a_slash_behind_the_public_address_is_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Owners' links begin with it and go on with a slash of their own."""
    monkeypatch.setenv("WEARWELL_PUBLIC_URL", "https://parts.example.com/")
    assert "https://parts.example.com" == settings.load().public_url


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        ("serve", "DATABASE_DSN", "nonsense"),
        ("work", "DATABASE_DSN", "nonsense"),
        ("ingest", "MQTT_CA_FILE", "/nonexistent"),
        ("up", "DATA_DIR", "/proc/foo"),
        ("up", "DATA_DIR", __file__),
        ("migrate", "DATA_DIR", "/proc/foo"),
        ("up", "PACE", "foo"),
    ],
)
def test_the_start_is_stopped_with_one_line(tmp_path: Path, command: str, name: str, value: str) -> None:
    """Exit 3 and one line on stderr that names the setting: never a traceback."""
    env = {key: given for key, given in os.environ.items() if not key.startswith("WEARWELL_")}
    env |= {"PYTHONPATH": str(ROOT), "WEARWELL_DATA_DIR": str(tmp_path / "data"), f"WEARWELL_{name}": value}
    ended = subprocess.run(
        [sys.executable, "-m", "gateway.cli", command],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert Exit.CONFIGURATION == ended.returncode, ended.stderr
    assert ended.stderr.startswith(f"wearwell: WEARWELL_{name}: ")
    assert 1 == ended.stderr.count("\n")


@pytest.mark.parametrize("named", ["nowhere", "in the environment", "in lower case", "in a .env"])
def test_a_command_is_pointed_at_a_folder_whatever_is_named_here(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its database is the folder's own, where a `.env` here or the environment lead to another."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEARWELL_DATABASE_DSN", raising=False)
    (tmp_path / "a folder").mkdir()
    if named == "in the environment":
        monkeypatch.setenv("WEARWELL_DATABASE_DSN", "postgresql://host/wearwell")
    if named == "in lower case":
        monkeypatch.setenv("wearwell_database_dsn", "postgresql://host/wearwell")
    if named == "in a .env":
        (tmp_path / ".env").write_text("WEARWELL_DATABASE_DSN=postgresql://host/wearwell\n")
    show = "from gateway.settings import Settings; s = Settings(); print(s.database_dsn, s.data_dir)"
    line = f"{settings.pointing_at(tmp_path / 'a folder')} {sys.executable} -c '{show}'"
    env = {"PYTHONPATH": str(ROOT), **os.environ}
    done = subprocess.run(["sh", "-c", line], env=env, capture_output=True, text=True, check=True)
    assert f"None {tmp_path}/a folder\n" == done.stdout
