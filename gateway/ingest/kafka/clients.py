"""The Kafka clients that a source works with, as the settings ask for them: addresses, TLS, login, group."""

import ssl
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from gateway import addresses
from gateway.settings import Settings

SESSION, HEARTBEAT = 30.0, 3.0  # seconds until a silent member's partitions go to others; between its signs of life
FOR_EVER = 2**31 - 1  # milliseconds that we may go without asking for records: the inbox says when there is room


def consumer(settings: Settings) -> AIOKafkaConsumer:
    """Return a member of the group, not started and not subscribed; it commits nothing by itself."""
    return AIOKafkaConsumer(
        group_id=settings.kafka_group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # a new group takes all there is
        session_timeout_ms=round(SESSION * 1_000),
        heartbeat_interval_ms=round(HEARTBEAT * 1_000),
        max_poll_interval_ms=FOR_EVER,
        metadata_max_age_ms=30_000,  # new partitions are noticed by then
        **door(settings),
    )


def producer(settings: Settings) -> AIOKafkaProducer:
    """Return what tells units something; a record counts when every replica in step has it."""
    return AIOKafkaProducer(acks="all", **door(settings))


def door(settings: Settings) -> dict[str, Any]:
    """Return where the brokers are and who we are there."""
    secure, servers = addresses.kafka_servers(settings.kafka_url or "")
    context = None
    if secure:
        context = ssl.create_default_context(cafile=settings.kafka_ca_file)
        if settings.kafka_cert_file:
            context.load_cert_chain(settings.kafka_cert_file, settings.kafka_key_file)
    found: dict[str, Any] = {"bootstrap_servers": servers, "client_id": settings.mqtt_client, "ssl_context": context}
    found["security_protocol"] = ("SASL_" if settings.kafka_username else "") + ("SSL" if secure else "PLAINTEXT")
    if settings.kafka_username and settings.kafka_password:
        found["sasl_mechanism"] = settings.kafka_sasl
        found["sasl_plain_username"] = settings.kafka_username
        found["sasl_plain_password"] = settings.kafka_password.get_secret_value()
    return found
