"""`wearwell demo --once`: the owner's part played over real HTTP, one line for each step to the next cycle."""

import re
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

from commerce import money
from gateway import clock
from gateway.demo import story
from gateway.demo.browser import Browser
from gateway.errors import WearwellError

LOOK_S = 0.25
LINK = re.compile(r"https?://\S+/p/[A-Za-z0-9_-]{20,}")
T = TypeVar("T")


class Missing(WearwellError):
    """A step of the loop did not come in time; the message says which, and what stood instead."""


class Once:
    """Walks the loop once; `around` is called between looks, so that the demo's world goes on."""

    def __init__(
        self, conn: psycopg.Connection, line: Callable[[str], None], around: Callable[[], None], stop: threading.Event
    ) -> None:
        self.conn = conn
        self.line = line
        self.around = around
        self.stop = stop
        self.deadline = 0.0
        self.started = 0.0

    def walk(self, limit_s: float) -> None:
        """Walk from the first readings to the next cycle. Raises Missing after `limit_s` seconds."""
        self.started = time.monotonic()
        self.deadline = self.started + limit_s
        self._tell("readings", self._until("readings", self._readings))
        prompt = self._until("prompt", lambda: story.prompted(self.conn))
        forecast = self._until("forecast", lambda: story.forecast(self.conn, prompt.cycle_id))
        self._tell("forecast", f"{prompt.slot} of {prompt.unit}: {_words(forecast)}")
        self._tell("prompt", f"“{prompt.subject}”, on {prompt.created_at:%d %B %Y} of the world's time")
        self._tap(prompt)
        order = self._until("order", lambda: story.order(self.conn, prompt.cycle_id))
        total = money.words(order["total_minor"], order["currency"])
        self._tell("order", f"{order['number']}: {order['part']}, {total}")
        self._until("charge", lambda: self._order(prompt, lambda o: o["payment"] == "captured"))
        self._tell("charge", f"{total} captured, once ({order['kind']})")
        for step, mark in (("shipped", "shipped_at"), ("delivered", "delivered_at")):
            done = self._until(step, lambda mark=mark: self._order(prompt, lambda o: o[mark]))  # type: ignore[misc]  # a loop's lambda
            self._tell(step, f"{done[mark]:%d %B %Y}")
        following = self._until("fitted", lambda: story.following(self.conn, prompt.cycle_id))
        self._tell(
            "fitted",
            f"{following['sku'] or 'a part'} on {following['began_at']:%d %B %Y}, told by the {following['source']}",
        )
        self._until("order fitted", lambda: self._order(prompt, lambda o: o["state"] == "fitted"))
        fresh = self._until("next cycle", lambda: story.forecast(self.conn, following["cycle_id"]))
        kept = "the last one is kept as a label" if following["labelled"] else "the last one is closed"
        self._tell("next cycle", f"begun; {kept}; {_words(fresh)}")

    def _tap(self, prompt: story.Prompted) -> None:
        """Open the link of the mail, press the button, and pay on the page that comes."""
        link = LINK.search(prompt.text)
        if link is None:
            raise Missing("prompt: the mail carries no link to a page that can order")
        with Browser() as browser:
            browser.open(link.group())
            here = browser.press("/order")
            if story.order(self.conn, prompt.cycle_id) is None:
                raise Missing(f"order: the page after the tap says nothing of one: {_gist(here)}")
            self.conn.rollback()
            if browser.offers("/pay/"):
                browser.press("/pay/")

    def _readings(self) -> str | None:
        now = story.counts(self.conn)
        if now["readings"] == 0 or now["online"] < now["units"]:
            return None
        from_whom = f"from {now['online']} units, {now['gaps']} gaps, {now['quarantined']} quarantined"
        return f"{now['readings']:,} stored {from_whom}"

    def _order(self, prompt: story.Prompted, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any] | None:
        order = story.order(self.conn, prompt.cycle_id)
        return order if order and holds(order) else None

    def _until(self, step: str, look: Callable[[], T | None]) -> T:
        """Look until there is something to see, or the time is over."""
        while True:
            found = look()
            self.conn.rollback()  # see what others commit meanwhile
            if found:
                return found
            if self.stop.is_set():
                raise Missing(f"stopped before: {step}")
            if time.monotonic() > self.deadline:
                raise Missing(f"missing step: {step}. At the end stood {self._stands()}")
            self.around()
            time.sleep(LOOK_S)

    def _stands(self) -> str:
        return ", ".join(f"{count:,} {name}" for name, count in story.counts(self.conn).items())

    def _tell(self, step: str, said: str) -> None:
        self.line(f"{time.monotonic() - self.started:6.1f} s  {step:<11} {said}")


def _words(forecast: dict[str, Any]) -> str:
    return (
        f"{forecast['pct_left']:.0f} % left, end of life in {story.left(forecast, clock.now())},"
        f" {forecast['basis']} by {forecast['predictor']},"
        f" forecast no. {forecast['made']} of this cycle{_narrowed(forecast)}"
    )


def _narrowed(forecast: dict[str, Any]) -> str:
    """Say how wide the interval is, and how wide it was when the cycle's first forecast was made."""
    width, first = forecast["eol_q90"] - forecast["eol_q10"], forecast["first_width"]
    return f", an interval of {width.days} days after {first.days} at first" if forecast["made"] > 1 else ""


def _gist(html: str) -> str:
    return " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", html, flags=re.DOTALL).split())[:200]
