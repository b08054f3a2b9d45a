"""The broker for machines without Mosquitto: amqtt behind our access files, in a process of its own.

`python -m gateway.operate.fallback_broker FOLDER HOST PORT`. It speaks MQTT 3.1.1 and keeps sessions in memory
only: right for a demo and a first look, since units keep their journals until the receipt. SIGHUP reads the access
files again.
"""

import asyncio
import logging
import signal
import sys
from pathlib import Path

from amqtt.adapters import ReaderAdapter, StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker

from gateway.operate.fallback_access import AccessPlugin

MQTT_5 = 5
REFUSED_VERSION = bytes((0x20, 2, 0, 1))  # CONNACK of MQTT 3.1.1: unacceptable protocol version
FIRST_PACKET_S = 10


class After(ReaderAdapter):  # type: ignore[misc]  # amqtt ships no types
    """A reader that gives back first what was read ahead."""

    def __init__(self, ahead: bytes, rest: ReaderAdapter) -> None:
        self._ahead, self._rest = ahead, rest

    async def read(self, n: int = -1) -> bytes:
        ahead, self._ahead = (self._ahead, b"") if n < 0 else (self._ahead[:n], self._ahead[n:])
        if len(ahead) == n:
            return ahead
        rest: bytes = await self._rest.read(n - len(ahead) if n >= 0 else n)
        return ahead + rest

    def feed_eof(self) -> None:
        self._rest.feed_eof()


class PoliteBroker(Broker):  # type: ignore[misc]  # amqtt ships no types
    """amqtt, which would wait for ever on an MQTT 5 CONNECT, telling such a client at once to speak 3.1.1."""

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        try:
            ahead, version = await asyncio.wait_for(_protocol_version(reader), FIRST_PACKET_S)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        if version >= MQTT_5:
            writer.write(REFUSED_VERSION)
            await writer.drain()
            writer.close()
            return
        await self._client_connected(
            listener_name, After(ahead, StreamReaderAdapter(reader)), StreamWriterAdapter(writer)
        )


async def _protocol_version(reader: asyncio.StreamReader) -> tuple[bytes, int]:
    """Return what was read of a CONNECT packet and the protocol level that it names."""
    ahead = await reader.readexactly(2)
    while ahead[-1] & 0x80:  # the length goes on
        ahead += await reader.readexactly(1)
    name = await reader.readexactly(2)
    name += await reader.readexactly(int.from_bytes(name) + 1)
    return ahead + name, name[-1]


async def serve(folder: Path, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    broker = PoliteBroker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}},
            "plugins": {f"{AccessPlugin.__module__}.{AccessPlugin.__qualname__}": {"folder": str(folder)}},
        }
    )
    await broker.start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
