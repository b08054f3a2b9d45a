"""Why ingest cannot do its work, for whoever watches it: read from the metrics that it keeps anyway."""

from gateway import metrics

BROKER_AWAY = "the broker does not answer or does not let ingest in; check WEARWELL_MQTT_URL and WEARWELL_MQTT_PASSWORD"
DATABASE_AWAY = "the database does not take what ingest holds; until it does, nothing is acknowledged"


def broker() -> str | None:
    """Say why nothing can be received, or None."""
    return None if metrics.value("broker_connected") else BROKER_AWAY


def database() -> str | None:
    """Say why nothing can be stored, or None; also None while the broker is away, since then nobody asks it."""
    return DATABASE_AWAY if metrics.value("broker_connected") and not metrics.value("ingest_ready") else None
