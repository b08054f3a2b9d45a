"""The process `wearwell ingest`: from the broker to the store, acknowledged and receipted after COMMIT."""

import random
import signal
import threading
import time

import psycopg
import structlog

from gateway import clock, metrics
from gateway.ingest import door, gaps, release, shares
from gateway.ingest.annex import Annex
from gateway.ingest.inbox import Inbox
from gateway.ingest.lane import Lane
from gateway.ingest.mail import Mail
from gateway.ingest.neighbours import Neighbours
from gateway.ingest.outcome import Outcome
from gateway.ingest.receipts import Outgoing
from gateway.ingest.source import Stage
from gateway.settings import Settings

log = structlog.get_logger()

IDLE = 0.25  # seconds between looks at an empty inbox
QUIET = 3.0  # seconds without a message after which a session that asks for none is empty
ASK_EVERY, RELEASE_EVERY = 1.0, 15.0  # seconds
TELL_EVERY = 0.5  # seconds that receipts may wait for each other while full batches wait to be stored
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds between tries while the database is away


def run(settings: Settings, dsn: str, *, annex: Annex | None = None, drain: bool = False) -> None:
    """Run until SIGINT or SIGTERM; what was received by then is stored and acknowledged first.

    A share of each large batch goes to `annex`. With `drain` no more is asked for: what the broker holds for this
    client id is stored, then its session ends.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    ingest = Ingest(settings, dsn, annex)
    if drain:
        ingest.drain(stop)
    else:
        ingest.run(stop)


class Ingest:
    """Takes batches from the inbox and settles them, one after another, until told to stop."""

    def __init__(self, settings: Settings, dsn: str, annex: Annex | None = None) -> None:
        self.lane, self.annex = Lane(dsn), annex
        self.limit = settings.mqtt_window
        self.inbox = Inbox(2 * settings.mqtt_window)  # brokers have been seen to overshoot the window
        self.source = door.opened(settings, self.inbox)
        self.trouble = True  # until the database has answered once
        self.outgoing = Outgoing()
        self.neighbours = Neighbours(settings)
        self.held = Mail()  # the batch that is being settled
        for name in ("messages_received_total", "broker_spilled_total", "database_trouble_total", "gaps_lost_total"):
            metrics.count(name, 0)  # an increase is seen of what was there before
        metrics.put("broker_connected", 0)  # an alert sees what was said, not what never was
        metrics.follow("messages_unacknowledged", lambda: len(self.held) + len(self.inbox))
        metrics.follow("unacknowledged_oldest_seconds", self.waited)
        self._asked = self._released = self._told = float("-inf")

    @property
    def ready(self) -> bool:
        """Whether broker and database both answer."""
        return self.source.connected and not self.trouble

    def waited(self) -> float:
        """Return for how many seconds the oldest message has waited to be stored and acknowledged."""
        held = self.held
        oldest = held[0].received_at if held else self.inbox.oldest
        return clock.wall_delay(clock.now() - oldest) if oldest else 0.0

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop`, then store and acknowledge what is held."""
        self.source.start()
        try:
            while not stop.is_set():
                self.do_chores()
                if batch := self.inbox.take(self.limit, IDLE):
                    self.store(batch, stop)
            held = len(self.inbox)  # what comes now is the next process's
            while held > 0 and (batch := self.inbox.take(min(self.limit, held), 0)) and self.store(batch, stop):
                held -= len(batch)
            self.tell(time.monotonic())
        finally:
            self.source.stop()
            self.lane.hang_up()
        log.info("ingest stopped", left_to_the_broker=len(self.inbox))

    def drain(self, stop: threading.Event) -> None:
        """Store and acknowledge what the broker still holds for this client id, and end its session there.

        A member of a shared subscription that only stopped would go on getting its share, which nobody reads.
        """
        self.source.restart(Stage.DRAINING)
        heard = time.monotonic()
        try:
            while not stop.is_set() and time.monotonic() - heard < QUIET:
                self.do_chores()
                batch = self.inbox.take(self.limit, IDLE)
                if (batch and self.store(batch, stop)) or not (self.source.connected and self.source.done):
                    heard = time.monotonic()
            self.tell(time.monotonic())
            if not stop.is_set():
                self.source.restart(Stage.ENDING)
            while not (stop.is_set() or self.source.done):
                stop.wait(IDLE)
            log.info("drained", session_ended=self.source.stage is Stage.ENDING and self.source.done)
        finally:
            self.source.stop()
            self.lane.hang_up()

    def store(self, batch: Mail, stop: threading.Event) -> bool:
        """Settle a batch, trying until the database takes it, then acknowledge and receipt it.

        Returns False where `stop` came first: nothing was acknowledged, and the broker keeps it all.
        """
        pause = FIRST_PAUSE
        began = time.monotonic()
        self.held = batch
        while True:
            try:
                outcome = self.settle(batch)
                break
            except psycopg.Error as error:
                self.in_trouble(error)
                batch = Mail.of([envelope._replace(tried=True) for envelope in batch])
                if stop.wait(pause * random.uniform(0.5, 1.0)):  # noqa: S311  # jitter is no secret
                    return False
                pause = min(2 * pause, LONGEST_PAUSE)
        self.in_order()
        committed = time.monotonic()
        self.acknowledge(batch)
        self.held = Mail()
        self.outgoing.add(outcome.messages)
        if len(batch) < self.limit or committed - self._told > TELL_EVERY:
            self.tell(committed)
        self.account(batch, outcome, committed - began)
        return True

    def tell(self, now: float) -> None:
        """Publish what units are to hear."""
        self._told = now
        self.source.publish(self.outgoing.take())

    def settle(self, batch: Mail) -> Outcome:
        """Commit a batch; raises psycopg.Error while the database cannot take it."""
        return shares.settle(self.lane, self.annex, batch)

    def acknowledge(self, batch: Mail) -> None:
        """Let the broker forget messages that are committed."""
        self.source.acknowledge(batch.handles)

    def in_order(self) -> None:
        """Note that the database takes what it is given."""
        self.trouble = False
        metrics.put("database_takes", 1)

    def in_trouble(self, error: Exception) -> None:
        """Note that the database is away; nothing is acknowledged until it is back."""
        self.trouble = True
        metrics.put("database_takes", 0)
        metrics.count("database_trouble_total")
        metrics.put("ingest_ready", 0)
        log.warning("the database is away; holding what was received", error=str(error).strip(), held=len(self.inbox))
        if isinstance(error, psycopg.OperationalError):
            self.lane.hang_up()

    def do_chores(self) -> None:
        """Ask for what is missing, let through what is enrolled by now, reconnect where messages were let go."""
        if self.source.stale or (self.inbox.spilled and not self.inbox):
            metrics.count("broker_spilled_total", self.inbox.spilled)
            self.inbox.spilled = 0
            self.source.restart(self.source.stage)
        now = time.monotonic()
        if now - self._asked < ASK_EVERY:
            return
        self._asked = now
        if self.annex is not None:
            metrics.put("annex_serves", self.annex.serves())
        try:
            self.ask_and_release(now)
            self.in_order()
        except psycopg.Error as error:
            self.in_trouble(error)
        metrics.put("ingest_ready", self.ready)

    def ask_and_release(self, now: float) -> None:
        """Give gaps up, ask for others; from time to time let go what lay in quarantine for want of an enrolment."""
        conn = self.lane.connection()
        with conn.transaction():
            lost, moved_on = gaps.close(conn, clock.now())
            commands = gaps.ask(conn, clock.now())
        metrics.count("gaps_lost_total", lost)
        self.source.publish([*moved_on, *commands])
        if now - self._released < RELEASE_EVERY:
            return
        self._released = now
        self.neighbours.look(conn)
        with conn.transaction():
            outcome = release.release_enrolled(conn, self.lane.directory, clock.now())
        self.source.publish(outcome.messages)
        metrics.put("gaps_open", gaps.open_count(conn))
        if outcome.stored or outcome.events:
            log.info("released from quarantine", readings=outcome.stored, events=outcome.events)

    def account(self, batch: Mail, outcome: Outcome, took: float) -> None:
        """Count and log what a batch came to."""
        lag = clock.wall_delay(clock.now() - batch[0].received_at)
        metrics.count("messages_received_total", len(batch))
        metrics.count("readings_stored_total", outcome.stored)
        metrics.count("readings_duplicate_total", outcome.redelivered, "broker")
        metrics.count("readings_duplicate_total", outcome.resent, "unit")
        for ages in outcome.ages:
            metrics.observe_all("reading_age_seconds", ages)
        metrics.count("events_recorded_total", outcome.events)
        metrics.count("gaps_opened_total", outcome.gaps_opened)
        metrics.count("gaps_filled_total", outcome.gaps_filled)
        for reason, times in outcome.refused.items():
            metrics.count("messages_quarantined_total", times, reason)
        metrics.observe("batch_messages", len(batch))
        metrics.observe("commit_seconds", took)
        metrics.observe("ingest_lag_seconds", lag)
        metrics.observe("receipt_seconds", lag)
        metrics.put("last_commit_timestamp_seconds", clock.wall().timestamp())
        log.info(
            "batch",
            messages=len(batch),
            stored=outcome.stored,
            redelivered=outcome.redelivered,
            resent=outcome.resent,
            events=outcome.events,
            refused=dict(outcome.refused),
            dropped=dict(outcome.dropped),
            took_ms=round(took * 1_000),
        )
