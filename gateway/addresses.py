"""What a database's, a broker's, a log's, a mail server's or a web address must look like.

Each check returns what it was given, or raises ValueError that says why it will not do. None repeats what it was given:
it may hold a password, or be one in the wrong place.
"""

import re
from email.utils import parseaddr
from ipaddress import ip_network
from urllib.parse import SplitResult, urlsplit

from psycopg import ProgrammingError, conninfo

LARGEST_PORT = 65_535
MAIL = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+")
SHARED = "$share/"
KAFKA_TOPIC = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")


def database(text: str) -> str:
    """Check a PostgreSQL DSN, as a URL or as `name=value` pairs."""
    try:
        parts = conninfo.conninfo_to_dict(text)
    except ProgrammingError:
        raise ValueError(
            "must look like postgresql://user:password@host:5432/name, or host=… port=… dbname=… user=…"
        ) from None
    for port in str(parts.get("port") or "").split(","):
        if port and not (port.isdigit() and 0 < int(port) <= LARGEST_PORT):
            raise ValueError(f"its port must be a number from 1 to {LARGEST_PORT}")
    return text


def broker(text: str) -> str:
    """Check `mqtt://host:port` or `mqtts://host:port`."""
    parts = _split(text, ("mqtt", "mqtts"), "mqtt://host:1883 or mqtts://host:8883")
    if parts.username or parts.password:
        raise ValueError("must hold no login: that is set by WEARWELL_MQTT_USERNAME and WEARWELL_MQTT_PASSWORD")
    return text


def kafka(text: str) -> str:
    """Check `kafka://host:port,host:port` or `kafkas://…`."""
    kafka_servers(text)
    return text


def kafka_servers(text: str) -> tuple[bool, list[str]]:
    """Return whether these brokers speak TLS, and each one's host and port; raises ValueError."""
    example = "kafka://host:9092 or kafkas://host:9093,host:9093"
    scheme, _, hosts = text.partition("://")
    if "@" in hosts:
        raise ValueError("must hold no login: that is set by WEARWELL_KAFKA_USERNAME and WEARWELL_KAFKA_PASSWORD")
    found = [_split(f"{scheme}://{host}", ("kafka", "kafkas"), example) for host in hosts.split(",")]
    if any(parts.path or parts.query or parts.fragment for parts in found):
        raise ValueError(f"must look like {example}, with nothing behind")
    ports = {"kafka": 9_092, "kafkas": 9_093}
    hosts_of = [f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname for parts in found]
    return scheme == "kafkas", [
        f"{host}:{parts.port or ports[scheme]}" for host, parts in zip(hosts_of, found, strict=True)
    ]


def kafka_topic(text: str) -> str:
    """Check the name of a Kafka topic."""
    if not KAFKA_TOPIC.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no Kafka topic: 1 to 249 of A-Z, a-z, 0-9, dot, dash, underscore")
    return text


def kafka_topics(texts: list[str]) -> list[str]:
    """Check the names of Kafka topics, of which there must be one."""
    if not texts:
        raise ValueError("must name at least one topic, or nothing would be received")
    return [kafka_topic(text) for text in texts]


def mail_server(text: str) -> str:
    """Check `smtp://user:password@host:port` or `smtps://…`."""
    _split(text, ("smtp", "smtps"), "smtp://user:password@host:587 or smtps://user:password@host:465")
    return text


def web(text: str) -> str:
    """Check an address that others are put behind, and return it without a slash at its end."""
    parts = _split(text, ("http", "https"), "http://host:8000 or https://host")
    if parts.query or parts.fragment:
        raise ValueError("must hold nothing behind its path: addresses are made by adding to it")
    return text.rstrip("/")


def sender(text: str) -> str:
    """Check who a mail is from: `name@host`, or `Name <name@host>`."""
    if "\n" in text or "\r" in text or not MAIL.fullmatch(parseaddr(text)[1]):
        raise ValueError("must be a mail address such as Wearwell <no-reply@example.com>")
    return text


def networks(texts: list[str]) -> list[str]:
    """Check IP addresses, and networks such as 10.0.0.0/8."""
    for text in texts:
        try:
            ip_network(text)
        except ValueError:
            raise ValueError(f"{text[:40]!r} is no IP address and no network such as 10.0.0.0/8") from None
    return texts


def topic_filters(texts: list[str]) -> list[str]:
    """Check MQTT topic filters: `+` is a whole level, `#` the last one; `$share/<group>/` may stand before one."""
    if not texts:
        raise ValueError("must name at least one topic filter, or nothing would be received")
    for text in texts:
        levels = text.split("/")
        if text.startswith(SHARED):
            if len(levels) < 3 or not levels[1] or set(levels[1]) & set("+#"):
                raise ValueError(f"{text!r} is no shared subscription: it must look like $share/group/ww/v1/+/tlm")
            levels = levels[2:]
        if "#" in "".join(levels[:-1]) or any(len(level) > 1 and set(level) & set("+#") for level in levels):
            raise ValueError(f"{text!r} is no topic filter: + must be a whole level, # a whole level and the last")
    return texts


def _split(text: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:  # what Python says of a port or an IPv6 address repeats it
        raise ValueError(f"must look like {example}, with a port from 1 to {LARGEST_PORT} where one is named") from None
    if parts.scheme not in schemes or not host or port == 0 or re.search(r"\s", text):
        raise ValueError(f"must look like {example}")
    return parts
