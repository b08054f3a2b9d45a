"""The connection to the broker: MQTT 5 (or 3.1.1), a persistent session, acknowledgement by hand.

paho calls back on a thread of its own. A message id means something on the connection that it came from and on no
other: each connection has a number, and an acknowledgement for an old one is dropped (the broker redelivers).
"""

import ssl
import threading
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway import clock, metrics
from gateway.ingest.buffered import BufferedClient
from gateway.ingest.envelope import Envelope, Handle
from gateway.ingest.inbox import Inbox
from gateway.ingest.mail import Mail
from gateway.ingest.posting import Posting
from gateway.ingest.receipts import Message
from gateway.ingest.source import Stage
from gateway.settings import Settings

log = structlog.get_logger()

SESSION_EXPIRY = 7 * 86_400  # seconds that the broker keeps our session, and what waits in it
LARGEST_PACKET = 1_048_576  # bytes; the broker does not deliver what is larger
KEEPALIVE = 30  # seconds
TAKEN = 65_535  # messages that a broker takes unacknowledged where it names no other number (MQTT 5.0, 3.2.2.3.3)
UNSUPPORTED_VERSION = 0x84


class Broker:
    """One client at the broker, filling an inbox: the source that speaks MQTT.

    DRAINING unsubscribes and takes what the session still holds; ENDING begins a session that ends with the connection,
    which ends the one before.
    """

    def __init__(self, settings: Settings, inbox: Inbox) -> None:
        self.settings = settings
        self.inbox = inbox
        self.version = settings.mqtt_version
        self.connected = False
        self.stale = False  # a new client is wanted
        self.stage = Stage.SERVING
        self.done = False  # the broker has heard of the stage
        self._connection = 0
        self._lock = threading.Lock()
        self._client: BufferedClient | None = None
        self.posting: Posting | None = None

    def start(self) -> None:
        """Begin to connect, and to reconnect whenever the connection is lost."""
        self.stale = False
        settings, five = self.settings, self.version == "5"
        client = BufferedClient(
            CallbackAPIVersion.VERSION2,
            client_id=settings.mqtt_client,
            clean_session=None if five else self.stage is Stage.ENDING,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        password = settings.mqtt_password.get_secret_value() if settings.mqtt_password else None
        client.username_pw_set(settings.mqtt_username, password)
        url = urlsplit(settings.mqtt_url)
        secure = url.scheme == "mqtts"
        if secure:
            client.tls_set_context(ssl.create_default_context(cafile=settings.mqtt_ca_file))
        client.on_connect, client.on_disconnect, client.on_message = self._connected, self._lost, self._large
        client.opened, client.arrived = self._opened, self.inbox.put
        client.posting = self.posting = Posting(client.send_packets, five=five)
        client.on_subscribe, client.on_unsubscribe = self._subscribed, self._unsubscribed
        client.reconnect_delay_set(1, 30)
        session: dict[str, Any] = {}
        if five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
            properties.SessionExpiryInterval = 0 if self.stage is Stage.ENDING else SESSION_EXPIRY
            properties.ReceiveMaximum = settings.mqtt_window
            properties.MaximumPacketSize = LARGEST_PACKET
            session = {"clean_start": self.stage is Stage.ENDING, "properties": properties}
        port = url.port or (8883 if secure else 1883)
        client.connect_async(url.hostname or "127.0.0.1", port, KEEPALIVE, **session)
        client.loop_start()
        self._client = client

    def stop(self) -> None:
        """Say goodbye to the broker; it keeps the session and what was not acknowledged."""
        client, self._client = self._client, None
        if client:
            client.disconnect()
            client.loop_stop()
        with self._lock:
            self._forget_connection()

    def restart(self, stage: Stage = Stage.SERVING) -> None:
        """Connect anew, so that the broker delivers again what was not acknowledged, or for another stage."""
        self.stop()
        self.stage, self.done = stage, False
        self.start()

    def acknowledge(self, handles: Iterable[Handle | None]) -> None:
        """Acknowledge messages that came on the connection that still stands.

        Whether its greeting was seen is not asked: messages may come along with it.
        """
        with self._lock:
            if self._client is None:
                return
            here = self._connection
            self._client.acknowledge([mid for connection, mid, _ in filter(None, handles) if connection == here])

    def publish(self, messages: Iterable[Message]) -> None:
        """Publish at QoS 1; while the broker is away receipts are dropped, since later ones say the same."""
        if self.posting is not None:
            self.posting.publish(messages)

    def _opened(self) -> int:
        with self._lock:
            self._connection += 1
            return self._connection

    def _forget_connection(self) -> None:
        self.connected = False
        self._connection += 1
        if self.posting is not None:
            self.posting.open(0)
        metrics.put("broker_connected", 0)

    def _connected(
        self, client: Client, _: object, flags: ConnectFlags, reason: ReasonCode, told: Properties | None
    ) -> None:
        if reason.is_failure:
            if self.version == "5" and reason.value == UNSUPPORTED_VERSION:
                log.warning("the broker does not speak MQTT 5; going on with 3.1.1 and the broker's own window")
                self.version, self.stale = "3.1.1", True
            else:
                log.warning("the broker refuses us", reason=str(reason), broker=self.settings.mqtt_url)
            return
        with self._lock:
            self.connected = True
            if self.posting is not None:
                self.posting.open(getattr(told, "ReceiveMaximum", TAKEN))
        metrics.put("broker_connected", 1)
        metrics.count("broker_reconnects_total")
        log.info("connected to the broker", session_present=flags.session_present, mqtt=self.version)
        filters = self.settings.mqtt_subscriptions
        self.done = self.stage is Stage.ENDING
        if self.stage is Stage.DRAINING:
            client.unsubscribe(filters)
        if self.stage is not Stage.SERVING:
            return
        if self.version == "5":  # retained states are told once for each subscription, not for each connection
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
            client.subscribe([(topic, options) for topic in filters])
        else:
            client.subscribe([(topic, 1) for topic in filters])

    def _subscribed(self, _: Client, __: object, ___: int, reasons: list[ReasonCode], ____: Properties | None) -> None:
        refused = [
            topic for topic, reason in zip(self.settings.mqtt_subscriptions, reasons, strict=False) if reason.is_failure
        ]
        if refused:
            log.error("the broker refuses subscriptions; check the gateway's access there", topics=refused)
        else:
            log.info("subscribed at the broker", topics=self.settings.mqtt_subscriptions)

    def _unsubscribed(self, *_: object) -> None:
        self.done = True
        log.info("unsubscribed at the broker", topics=self.settings.mqtt_subscriptions)

    def _lost(self, _: Client, __: object, ___: DisconnectFlags, reason: ReasonCode, ____: Properties | None) -> None:
        with self._lock:
            self._forget_connection()
        if reason.is_failure:
            log.warning("the connection to the broker is lost", reason=str(reason))

    def _large(self, _: Client, __: object, message: MQTTMessage) -> None:
        """Put a message into the inbox that was too large to be taken on the way: MQTT 3.1.1 cannot forbid them."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "\N{REPLACEMENT CHARACTER}"
        handle = Handle(self._connection, message.mid) if message.qos else None
        body, now = bytes(message.payload), clock.now()
        self.inbox.put(Mail.of([Envelope(topic, body, now, None, message.retain, message.dup, handle=handle)]))
