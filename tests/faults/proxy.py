"""A TCP proxy that spoils a connection: delay, throttle, stall, reset, cut, half-open."""

import contextlib
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 4_096


class Proxy:
    """Forwards to a port of this machine, as badly as it is told to; what is set holds from the next bytes on."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.delay_s = 0.0
        self.bytes_a_second = 0  # 0: as fast as it goes
        self.refuses = False
        self.heard: Callable[[bool, bytes], None] | None = None  # of what goes to the target, and of what comes from it
        self._stalled: set[socket.socket] = set()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The address of the proxy as a setting."""
        return f"mqtt://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    def stall(self) -> None:
        """Forward nothing any more on the connections that stand, and keep them open: they are half-open then."""
        with self._lock:
            self._stalled |= self._open

    def resume(self) -> None:
        """Go on where it stalled."""
        with self._lock:
            self._stalled.clear()

    def reset(self) -> None:
        """End every connection with a reset, so that what was under way is gone."""
        for end in self._ends():
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.cut()

    def cut(self) -> None:
        """Close every connection."""
        for end in self._ends():
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _ends(self) -> set[socket.socket]:
        with self._lock:
            ends, self._open, self._stalled = self._open, set(), set()
        return ends

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.refuses:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            with self._lock:
                self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink, source is near), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, inward: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK):
                if self.heard:
                    self.heard(inward, chunk)
                time.sleep(self.delay_s + (len(chunk) / self.bytes_a_second if self.bytes_a_second else 0.0))
                while source in self._stalled:
                    time.sleep(0.02)
                sink.sendall(chunk)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        with self._lock:
            self._open -= {source, sink}
