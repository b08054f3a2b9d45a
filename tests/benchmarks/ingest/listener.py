"""Hears receipts, and when: one client that costs little, so that what is measured is the gateway."""

import json
import socket
import struct
import threading
import time
from typing import Self

from gateway.ingest.envelope import Envelope
from gateway.ingest.sieve import Sieve

FILTER = b"ww/v1/+/dn/receipt"


class Listener:
    """Subscribes to every unit's receipts; `heard` holds when each unit heard that it is safe up to where."""

    def __init__(self, port: int) -> None:
        self.heard: dict[str, list[tuple[float, int]]] = {}
        self._socket = socket.create_connection(("127.0.0.1", port))
        name = b"bench-listener"
        body = b"\x00\x04MQTT\x04\x02" + struct.pack("!HH", 600, len(name)) + name
        topic = struct.pack("!HH", 1, len(FILTER)) + FILTER + b"\x00"
        self._socket.sendall(bytes((0x10, len(body))) + body + bytes((0x82, len(topic))) + topic)
        self._sieve = Sieve(self._arrived, lambda _: None, five=False)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while data := self._socket.recv(262_144):
            self._sieve.feed(data)

    def _arrived(self, messages: list[Envelope]) -> None:
        now = time.time()
        for message in messages:
            told = json.loads(message.payload)
            if "through" in told:
                self.heard.setdefault(message.topic.split("/")[2], []).append((now, told["through"]))
