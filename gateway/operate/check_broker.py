"""The broker as `wearwell doctor` sees it."""

from collections.abc import Iterator
from pathlib import Path

from gateway.errors import Unreachable
from gateway.operate import broker, broker_probe
from gateway.operate.finding import Finding, bad, good, warning
from gateway.settings import Settings

ENOUGH = 10_000  # queued messages


def look(settings: Settings) -> Iterator[Finding]:
    """Look at version, protocol, window, anonymous clients, sessions and, where it can be seen, the queue."""
    own = broker.folder_of(settings.data_dir)
    if "mqtt_url" not in settings.model_fields_set and broker.running(own) is None:
        yield warning("broker", "the embedded one is not running", "start it with: wearwell up")
        return
    try:
        seen = broker_probe.look(settings)
        refuses = broker_probe.anonymous_refused(settings)
    except Unreachable as error:
        yield bad("broker", str(error), "start it, or correct WEARWELL_MQTT_URL")
        return
    if seen.refused:
        remedy = "check WEARWELL_MQTT_USERNAME and WEARWELL_MQTT_PASSWORD, and run: wearwell broker-files"
        yield bad("broker", f"refuses us: {seen.refused}", remedy)
        return
    yield good("broker", f"{seen.version or 'its version is not told'}, {seen.protocol}")
    yield _window(settings, seen)
    if refuses:
        yield good("anonymous clients", "refused")
    else:
        yield bad("anonymous clients", "let in", "set allow_anonymous false")
    if seen.session_kept:
        yield good("broker sessions", "kept between connections")
    else:
        said = "lost between connections: what comes while the gateway is away is dropped"
        yield bad("broker sessions", said, "allow persistent sessions (persistent_client_expiration)")
    yield _queue(own / "mosquitto.conf")


def _window(settings: Settings, seen: broker_probe.Seen) -> Finding:
    if seen.protocol == broker_probe.OLDER:
        remedy = "install Mosquitto; until then set WEARWELL_MQTT_VERSION=3.1.1"
        return warning("broker window", "MQTT 3.1.1: the broker chooses it", remedy)
    if settings.mqtt_version != "5":
        return warning("broker window", "the broker chooses it", "unset WEARWELL_MQTT_VERSION: it speaks MQTT 5")
    return good("broker window", f"{settings.mqtt_window} unacknowledged messages, asked for at connection")


def _queue(config: Path) -> Finding:
    """Judge what only the configuration shows: limit and persistence cannot be seen from a connection."""
    if not config.exists():
        said = "its limit and persistence cannot be seen from here"
        return warning("broker queue", said, "compare with deploy/mosquitto/mosquitto.conf")
    lines = dict(line.partition(" ")[::2] for line in config.read_text().splitlines() if line and line[0] != "#")
    limit, kept = int(lines.get("max_queued_messages", 1000)), lines.get("persistence") == "true"
    said = f"{limit or 'any number of'} messages, {'kept' if kept else 'lost'} over a restart"
    if kept and (limit == 0 or limit >= ENOUGH):
        return good("broker queue", said)
    return bad("broker queue", said, "set persistence true and max_queued_messages 100000")
