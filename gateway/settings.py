"""Every setting, read once from the environment (`WEARWELL_…`) or a `.env` file, and validated.

docs/operating.md documents each; a test compares the two.
"""

import contextlib
import difflib
import os
import shlex
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gateway import addresses, clock
from gateway.errors import ConfigurationError

PREFIX = "WEARWELL_"
ENV_FILE = ".env"
OF_TESTS = ("WEARWELL_TEST_", "WEARWELL_SCREENSHOTS")
LATE_D = 90  # days; a cellar, a holiday: ingest takes a reading for late beyond that (ingest/clocks.py)
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _words(value: object) -> object:
    return [w for w in value.split(",") if w] if isinstance(value, str) else value


def _hidden(check: Callable[[str], str]) -> Callable[[SecretStr], SecretStr]:
    def checked(secret: SecretStr) -> SecretStr:
        return SecretStr(check(secret.get_secret_value()))

    return checked


def _authority(path: Path) -> Path:
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"holds no certificate that can be read ({error.strerror or 'not PEM'})") from None
    return path


def _file(path: Path) -> Path:
    if not os.access(path, os.R_OK) or path.is_dir():
        raise ValueError("is no file that can be read")
    return path


def _pace(text: str) -> str:
    clock.pace_from(text)
    return text


def _late_enough(days: int) -> int:
    if 0 < days <= LATE_D:
        raise ValueError(f"must be 0 (for ever) or more than {LATE_D}: units may tell readings {LATE_D} days late")
    return days


Dsn = Annotated[SecretStr, AfterValidator(_hidden(addresses.database))]
MailServer = Annotated[SecretStr, AfterValidator(_hidden(addresses.mail_server))]
Web = Annotated[str, AfterValidator(addresses.web)]
Words = Annotated[list[str], NoDecode, BeforeValidator(_words)]


class Settings(BaseSettings):
    """The settings of one deployment; every process reads the same."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_ignore_empty=True,  # empty is not set: a compose file passes what it has not got as empty
        extra="ignore",
        hide_input_in_errors=True,
    )

    data_dir: Path = Field(Path("wearwell-data"), description="where the embedded database, broker files and logs live")
    database_dsn: Dsn | None = Field(None, description="PostgreSQL to use; empty: the embedded one under data_dir")
    database_admin_dsn: Dsn | None = Field(
        None, description="login for `wearwell migrate`: owns the schema; empty: database_dsn"
    )

    mqtt_url: Annotated[str, AfterValidator(addresses.broker)] = Field(
        "mqtt://127.0.0.1:1883", description="the broker: mqtt:// or mqtts://, host and port"
    )
    mqtt_username: str = Field("wearwell", description="the gateway's own name at the broker")
    mqtt_password: SecretStr | None = Field(None, description="its password")
    mqtt_ca_file: Annotated[Path, AfterValidator(_authority)] | None = Field(
        None, description="certificate authority of an mqtts:// broker; empty: the system's"
    )
    mqtt_version: Literal["5", "3.1.1"] = Field(
        "5", description="MQTT version the broker speaks; with 3.1.1 the window is the broker's to choose"
    )
    mqtt_window: PositiveInt = Field(
        60_000, le=65_535, description="unacknowledged messages the broker may have under way, and a batch at most"
    )
    mqtt_client: str = Field("wearwell-ingest-1", description="client id of this ingest process; stable, one each")
    mqtt_subscriptions: Annotated[Words, AfterValidator(addresses.topic_filters)] = Field(
        ["ww/v1/+/state", "ww/v1/+/tlm", "ww/v1/+/evt", "ww/v1/+/up/#", "+/+/status/#"],
        description="topic filters, comma separated",
    )

    kafka_url: Annotated[str, AfterValidator(addresses.kafka)] | None = Field(
        None, description="Kafka brokers, kafka:// or kafkas://, to take messages from; empty: they come over MQTT"
    )
    kafka_username: str | None = Field(None, description="login there (SASL); empty: none")
    kafka_password: SecretStr | None = Field(None, description="its password")
    kafka_sasl: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        "SCRAM-SHA-512", description="how the login is shown: SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN"
    )
    kafka_ca_file: Annotated[Path, AfterValidator(_authority)] | None = Field(
        None, description="certificate authority of kafkas:// brokers; empty: the system's"
    )
    kafka_cert_file: Annotated[Path, AfterValidator(_file)] | None = Field(
        None, description="our own certificate there, where they ask for one"
    )
    kafka_key_file: Annotated[Path, AfterValidator(_file)] | None = Field(None, description="its key")
    kafka_group: str = Field("wearwell", min_length=1, description="consumer group of all ingest processes")
    kafka_topics: Annotated[Words, AfterValidator(addresses.kafka_topics)] = Field(
        ["ww.v1.up"], description="topics that the bridge fills, comma separated"
    )
    kafka_down_topic: Annotated[str, AfterValidator(addresses.kafka_topic)] = Field(
        "ww.v1.down", description="topic whose records the bridge carries to the units"
    )

    http_host: str = Field("127.0.0.1", description="address the web listens on")
    http_port: int = Field(8_000, ge=0, le=65_535, description="port of the web")
    public_url: Web = Field("http://127.0.0.1:8000", description="what owners' links and QR codes begin with")
    trusted_proxies: Annotated[Words, AfterValidator(addresses.networks)] = Field(
        ["127.0.0.1", "::1"], description="proxies that are believed who calls: addresses or networks, comma separated"
    )
    metrics_host: str = Field("127.0.0.1", description="address that metrics are served on; they are not public")
    metrics_port: int = Field(9_464, ge=0, le=65_535, description="Prometheus port; 0: none")

    smtp_url: MailServer | None = Field(
        None, description="smtp://user:password@host:port or smtps://…; empty: mail stays in the outbox"
    )
    mail_from: Annotated[str, AfterValidator(addresses.sender)] = Field(
        "Wearwell <no-reply@localhost>", description="sender of owners' mail"
    )

    stripe_key: SecretStr | None = Field(None, description="restricted secret key; empty: nothing can be ordered")
    stripe_webhook_secrets: Annotated[list[SecretStr], NoDecode, BeforeValidator(_words)] = Field(
        [], description="signing secrets, comma separated; two during a rotation"
    )
    stripe_url: Web | None = Field(None, description="address of the payment stand-in; empty: Stripe itself")
    stripe_pages_url: Web | None = Field(
        None, description="where browsers find the stand-in's pages; empty: at stripe_url"
    )

    keep_readings_d: Annotated[NonNegativeInt, AfterValidator(_late_enough)] = Field(
        400, description="days that readings are kept, 0 or more than 90; what is made of them stays; 0: for ever"
    )
    compress_readings_d: NonNegativeInt = Field(
        90, description="days after which TimescaleDB compresses readings; later ones still find their place; 0: never"
    )
    keep_messages_d: NonNegativeInt = Field(400, description="days that sent mails and messages are kept; 0: for ever")
    keep_events_d: NonNegativeInt = Field(1_100, description="days that handled events are kept; 0: for ever")
    keep_quarantine_d: NonNegativeInt = Field(
        90, description="days that refused messages, filled gaps, and counts of what came twice are kept; 0: for ever"
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe line logged")
    pace: Annotated[str, AfterValidator(_pace)] | None = Field(
        None, description="accelerated world time `origin,since,speed`; demo and tests only"
    )

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.stripe_key and not self.stripe_webhook_secrets:
            raise ValueError("stripe_key needs stripe_webhook_secrets: without them no payment would be heard of")
        if self.stripe_pages_url and not self.stripe_url:
            raise ValueError("stripe_pages_url belongs to the stand-in: set stripe_url, or unset stripe_pages_url")
        self._check_kafka()
        if self.pace:
            if not self.stripe_url and self.stripe_key:
                raise ValueError("pace is for the demo: it must not meet real payments (set stripe_url, or unset pace)")
            if self.smtp_url and urlsplit(self.smtp_url.get_secret_value()).hostname not in LOOPBACK:
                raise ValueError("pace is for the demo: it must not reach a real mail server (unset smtp_url, or pace)")
        return self

    def _check_kafka(self) -> None:
        if bool(self.kafka_username) != bool(self.kafka_password):
            raise ValueError("kafka_username and kafka_password belong together: set both, or neither")
        if bool(self.kafka_cert_file) != bool(self.kafka_key_file):
            raise ValueError("kafka_cert_file and kafka_key_file belong together: set both, or neither")
        if self.kafka_down_topic in self.kafka_topics:
            raise ValueError("kafka_down_topic must not be one of kafka_topics: receipts would come back as messages")
        if self.kafka_url and self.kafka_username and self.kafka_sasl == "PLAIN":
            secure, servers = addresses.kafka_servers(self.kafka_url)
            if not secure and any(server.rpartition(":")[0].strip("[]") not in LOOPBACK for server in servers):
                raise ValueError("kafka_sasl PLAIN shows the password to everybody on the way: use kafkas://, or SCRAM")

    @property
    def secure(self) -> bool:
        """Whether owners reach us over TLS, so that cookies may be `__Host-` and Secure."""
        return self.public_url.startswith("https://")


NAMES = frozenset(Settings.model_fields)


def environment(**settings: str) -> dict[str, str]:
    """Return this process's environment with these settings (by field name) over it: what a child process gets."""
    return dict(os.environ) | {f"{PREFIX}{name.upper()}": value for name, value in settings.items()}


def alone(folder: Path, **given: object) -> Settings:
    """Return the settings of a deployment in `folder` that stands for itself: the demo must reach nobody's services.

    None is read from a `.env`, and this process's environment forgets those that it holds, so that children inherit
    none. Raises ConfigurationError where `folder` holds a `.env`: it is the working directory of its children.
    """
    if (folder / ENV_FILE).exists():
        raise ConfigurationError(
            f"{folder} holds a {ENV_FILE}, which would lead to services that are not its own; name another folder"
        )
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:  # settings are read in either case
        del os.environ[name]
    return Settings(_env_file=None, data_dir=folder, **given)  # type: ignore[arg-type]  # by name, and validated


def pointing_at(folder: Path) -> str:
    """Return what to write before a command, in a shell, so that it uses the embedded database under `folder`.

    Where this environment, or the `.env` here, names a database, the command is led away from it first.
    """
    here = shlex.quote(str(folder.resolve()))
    given: set[str] = set()
    with contextlib.suppress(ValidationError):
        given = Settings().model_fields_set
    if "database_dsn" not in given:
        return f"WEARWELL_DATA_DIR={here}"
    names = sorted({name for name in os.environ if name.upper() == f"{PREFIX}DATABASE_DSN"} | {f"{PREFIX}DATABASE_DSN"})
    return f"cd {here} && env {' '.join(f'-u {name}' for name in names)} {PREFIX}DATA_DIR={here}"


def load() -> Settings:
    """Read the settings, let the world's time run as they say, and return them.

    Raises ConfigurationError with one line that names the setting, what is wrong and where to look.
    """
    for name in os.environ:
        if name.startswith(PREFIX) and not name.startswith(OF_TESTS) and name.removeprefix(PREFIX).lower() not in NAMES:
            close = difflib.get_close_matches(name.removeprefix(PREFIX).lower(), NAMES, n=1)
            meant = f"; did you mean {PREFIX}{close[0].upper()}?" if close else ""
            raise ConfigurationError(f"{name} is not a setting{meant} See docs/operating.md, Settings.")
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + "_".join(str(part) for part in first["loc"]).upper() if first["loc"] else "settings"
        said = str(first["msg"]).removeprefix("Value error, ")
        raise ConfigurationError(f"{name}: {said}. See docs/operating.md, Settings.") from None
    if settings.pace:
        clock.accelerate(clock.pace_from(settings.pace))
    return settings
