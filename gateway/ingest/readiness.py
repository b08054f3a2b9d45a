"""Why ingest cannot do its work, for whoever watches it."""

from gateway import metrics
from gateway.db import readiness

BROKER_AWAY = (
    "the broker does not answer or does not let us in; check WEARWELL_MQTT_URL and WEARWELL_MQTT_PASSWORD,"
    " or WEARWELL_KAFKA_URL, its login and its topics where messages come from there"
)
NOT_TAKEN = "the database answers and does not take what ingest holds; until it does, nothing is acknowledged"


def broker() -> str | None:
    """Say why nothing can be received, or None: known from the process's own connection."""
    return None if metrics.value("broker_connected") else BROKER_AWAY


def database(dsn: str) -> str | None:
    """Say why nothing can be stored, or None; asked of the database itself, whatever the broker does."""
    return readiness.database(dsn) or (None if metrics.value("database_takes") else NOT_TAKEN)
