"""The connection to the broker: what comes with its first bytes is acknowledged on it like all else."""

import socket
import threading

from gateway.ingest.broker import Broker
from gateway.ingest.inbox import Inbox
from gateway.settings import Settings
from tests.faults.machinery import wait_for

CONNACK = bytes([0x20, 3, 1, 0, 0])  # the session is present
TELEMETRY = b"ww/v1/one/tlm"
PUBLISH = bytes([0x32, 2 + len(TELEMETRY) + 2 + 1 + 2, 0, len(TELEMETRY)]) + TELEMETRY + bytes([0, 7, 0]) + b"{}"
PUBACK = bytes([0x40, 2, 0, 7])


def test_a_message_that_comes_with_the_greeting_is_acknowledged() -> None:
    """A broker that has our session sends what it holds along with CONNACK: that window must not stay open for ever."""
    said = bytearray()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1_024)
            connection.sendall(CONNACK + PUBLISH)
            while data := connection.recv(1_024):
                said.extend(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        inbox = Inbox(10)
        broker = Broker(Settings(mqtt_url=f"mqtt://127.0.0.1:{listener.getsockname()[1]}"), inbox)
        broker.start()
        [envelope] = inbox.take(10, 10.0)
        broker.acknowledge([envelope.handle])
        wait_for(lambda: PUBACK in said, 10)
        broker.stop()
        broker.acknowledge([envelope.handle])  # of a connection that is over: nobody hears it
