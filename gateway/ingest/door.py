"""The door that messages come in at: MQTT, or the Kafka-protocol log that the settings name."""

from gateway.errors import ConfigurationError
from gateway.ingest.broker import Broker
from gateway.ingest.inbox import Inbox
from gateway.ingest.source import Source
from gateway.settings import Settings


def opened(settings: Settings, inbox: Inbox) -> Source:
    """Return the source that is to fill this inbox; raises ConfigurationError where its client is not installed."""
    if not settings.kafka_url:
        return Broker(settings, inbox)
    try:
        from gateway.ingest.kafka.source import Kafka  # noqa: PLC0415  # an extra: most deployments have no Kafka
    except ModuleNotFoundError:
        raise ConfigurationError(
            "WEARWELL_KAFKA_URL is set, and the Kafka client is not installed; run: pip install 'wearwell[kafka]'"
        ) from None
    return Kafka(settings, inbox)
