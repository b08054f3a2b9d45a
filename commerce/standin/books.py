"""The stand-in's books: everything it knows, in memory, behind one lock."""

import copy
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any

import stripe

Thing = dict[str, Any]
KINDS = {
    "cus_": "customer",
    "pm_": "payment_method",
    "pi_": "payment_intent",
    "ch_": "charge",
    "re_": "refund",
    "cs_test_": "checkout.session",
    "evt_": "event",
}


class Unknown(LookupError):
    """There is no thing of this kind with this id; `param` names the field that said it."""

    def __init__(self, kind: str, thing_id: str, param: str) -> None:
        self.param = param
        super().__init__(f"No such {kind}: '{thing_id}'")


class Books:
    """Customers, methods, intents, charges, refunds, sessions and events by id; hold `lock` to read or write."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.things: dict[str, Thing] = {}
        self.private: dict[str, Thing] = {}  # what a session's page needs and the API does not tell
        self.answers: dict[str, tuple[str, int, Thing]] = {}  # idempotency key: fingerprint, status, body
        self.heard: list[Callable[[Thing], None]] = []
        self.page_url = "http://127.0.0.1"
        self._count = 0

    def now(self) -> int:
        """Return Unix time in whole seconds."""
        return int(self.clock())

    def add(self, prefix: str, **fields: Any) -> Thing:
        """Enter a new thing of the kind that its prefix names, and return it."""
        self._count += 1
        thing: Thing = {
            "id": f"{prefix}{self._count:06d}{secrets.token_hex(6)}",
            "object": KINDS[prefix],
            "created": self.now(),
            "livemode": False,
            **fields,
        }
        self.things[thing["id"]] = thing
        return thing

    def get(self, kind: str, thing_id: str | None, param: str = "id") -> Thing:
        """Return a thing of this kind; raises Unknown."""
        found = self.find(kind, thing_id)
        if found is None:
            raise Unknown(kind, thing_id or "", param)
        return found

    def find(self, kind: str, thing_id: str | None) -> Thing | None:
        """Return a thing of this kind, if there is one with this id."""
        thing = self.things.get(thing_id or "")
        return thing if thing is not None and thing["object"] == kind else None

    def every(self, kind: str) -> Iterator[Thing]:
        """Yield all things of a kind, newest first, as Stripe lists them."""
        return (t for t in reversed(list(self.things.values())) if t["object"] == kind)

    def tell(self, kind: str, thing: Thing) -> None:
        """Enter an event with a copy of the thing as it is now, and hand it to whoever listens."""
        event = self.add(
            "evt_",
            api_version=stripe.api_version,
            data={"object": copy.deepcopy(thing)},
            pending_webhooks=len(self.heard),
            request={"id": None, "idempotency_key": None},
            type=kind,
        )
        for listener in self.heard:
            listener(event)
