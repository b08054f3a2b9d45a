"""Webhooks: every event signed and posted, again and again until somebody says 2xx."""

import hashlib
import hmac
import json
import logging
import threading
from queue import Empty, Queue

import httpx

from commerce.standin.books import Books, Thing
from commerce.standin.knobs import Knobs

log = logging.getLogger(__name__)
RETRIES_S = (0.2, 0.5, 1, 2, 5, 10, 30)


def signature(body: str, secrets: list[str], at: int) -> str:
    """Return a Stripe-Signature header: one v1 for each secret, two while they are rotated."""
    signed = f"{at}.{body}".encode()
    macs = [hmac.new(s.encode(), signed, hashlib.sha256).hexdigest() for s in secrets]
    return ",".join([f"t={at}", *(f"v1={mac}" for mac in macs)])


class Hooks:
    """Delivers the books' events to one URL, in a thread of its own."""

    def __init__(self, books: Books, knobs: Knobs, url: str) -> None:
        self._books = books
        self._knobs = knobs
        self._url = url
        self._events: Queue[Thing | None] = Queue()
        self._held: list[Thing] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="standin-webhooks", daemon=True)
        books.heard.append(self._events.put)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop delivering; what is not delivered stays in the list of events."""
        self._stopped.set()
        self._events.put(None)
        self._thread.join()

    def _run(self) -> None:
        retries: list[tuple[float, int, Thing]] = []
        with httpx.Client(timeout=10, trust_env=False) as client:
            while not self._stopped.is_set():
                now = self._books.clock()
                due = [r for r in retries if r[0] <= now]
                retries = [r for r in retries if r[0] > now]
                for _, tries, event in due:
                    retries.extend(self._try(client, event, tries))
                try:
                    event_or_end = self._events.get(timeout=0.1)
                except Empty:
                    continue
                for event in self._let_through(event_or_end) if event_or_end else ():
                    retries.extend(self._try(client, event, 0))

    def _let_through(self, event: Thing) -> list[Thing]:
        """Return what is delivered now, as the knobs have it."""
        if self._knobs.take("drop"):
            return []
        self._held.append(event)
        if len(self._held) < self._knobs.reorder:
            return []
        ready, self._held = self._held[:: -1 if self._knobs.reorder else 1], []
        return [e for e in ready for _ in range(1 + self._knobs.duplicate)]

    def _try(self, client: httpx.Client, event: Thing, tries: int) -> list[tuple[float, int, Thing]]:
        body = json.dumps(event)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(body, self._knobs.secrets, self._books.now()),
        }
        try:
            answer = client.post(self._url, content=body.encode(), headers=headers)
            if answer.is_success:
                event["pending_webhooks"] = 0
                return []
            why = f"HTTP {answer.status_code}"
        except httpx.HTTPError as error:
            why = type(error).__name__
        if tries == len(RETRIES_S):
            log.warning("webhook %s given up: %s", event["type"], why)
            return []
        return [(self._books.clock() + RETRIES_S[tries], tries + 1, event)]
