"""What can be learned of a broker by connecting to it as the gateway does."""

import threading
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.errors import Unreachable
from gateway.settings import Settings

CLIENT = "wearwell-doctor"
WAIT_S = 5.0
VERSION_TOPIC = "$SYS/broker/version"
OLDER = "MQTT 3.1.1"
NAMES = {MQTTProtocolVersion.MQTTv5: "MQTT 5", MQTTProtocolVersion.MQTTv311: OLDER}


@dataclass
class Seen:
    """What one connection showed; `refused` is the broker's reason, empty when it let us in."""

    protocol: str
    refused: str = ""
    session_kept: bool = False
    version: str = ""
    receive_maximum: int = 65_535
    answered: threading.Event = field(default_factory=threading.Event, repr=False)
    told: threading.Event = field(default_factory=threading.Event, repr=False)


def look(settings: Settings) -> Seen:
    """Connect with MQTT 5, else 3.1.1, leave a session, come back for it, and return what was seen.

    Raises Unreachable when nobody answers.
    """
    protocol = MQTTProtocolVersion.MQTTv5
    first = _connect(settings, protocol, fresh=False, keep=True)
    if "protocol" in first.refused.lower():
        protocol = MQTTProtocolVersion.MQTTv311
        first = _connect(settings, protocol, fresh=False, keep=True)
    if first.refused:
        return first
    again = _connect(settings, protocol, fresh=False, keep=True)
    _connect(settings, protocol, fresh=True, keep=False)  # leave nothing behind
    first.session_kept = again.session_kept
    return first


def anonymous_refused(settings: Settings) -> bool:
    """Say whether the broker refuses a client without a login."""
    for protocol in NAMES:
        seen = _connect(settings, protocol, fresh=True, keep=False, anonymous=True)
        if "protocol" not in seen.refused.lower():
            return bool(seen.refused)
    return True


def _connect(
    settings: Settings, protocol: MQTTProtocolVersion, *, fresh: bool, keep: bool, anonymous: bool = False
) -> Seen:
    url = urlsplit(settings.mqtt_url)
    seen = Seen(NAMES[protocol])
    five = protocol is MQTTProtocolVersion.MQTTv5
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, CLIENT, clean_session=None if five else not keep, protocol=protocol
    )
    if not anonymous:
        password = settings.mqtt_password.get_secret_value() if settings.mqtt_password else None
        client.username_pw_set(settings.mqtt_username, password)
    if url.scheme == "mqtts":
        client.tls_set(str(settings.mqtt_ca_file) if settings.mqtt_ca_file else None)

    def on_connect(
        _: mqtt.Client, __: object, flags: mqtt.ConnectFlags, code: ReasonCode, props: Properties | None
    ) -> None:
        seen.refused = str(code) if code.is_failure else ""
        seen.session_kept = flags.session_present
        seen.receive_maximum = getattr(props, "ReceiveMaximum", seen.receive_maximum)
        seen.answered.set()

    def on_message(_: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
        seen.version = message.payload.decode(errors="replace")
        seen.told.set()

    client.on_connect, client.on_message = on_connect, on_message
    properties = None
    if five:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho does not annotate it
        properties.SessionExpiryInterval = 30 if keep else 0
    try:
        client.connect(
            url.hostname or "",
            url.port or (8883 if url.scheme == "mqtts" else 1883),
            clean_start=fresh if five else mqtt.MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
        )
    except OSError as error:
        raise Unreachable(f"no broker answers at {settings.mqtt_url} ({error}); check WEARWELL_MQTT_URL") from None
    client.loop_start()
    try:
        if not seen.answered.wait(WAIT_S):
            raise Unreachable(
                f"{settings.mqtt_url} accepts connections but does not speak MQTT; check WEARWELL_MQTT_URL"
            )
        if not seen.refused and not anonymous and keep and not seen.session_kept:
            client.subscribe(VERSION_TOPIC)
            seen.told.wait(1)
        client.disconnect()
    finally:
        client.loop_stop()
    return seen
