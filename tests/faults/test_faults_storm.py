"""A reconnect storm: a fleet that lost its broker comes back at once, and everything it measured is stored."""

import asyncio
import resource
from collections import Counter
from contextlib import closing

import psycopg
import pytest

from tests.faults import fleet
from tests.faults.ledger import Book
from tests.faults.machinery import Mosquitto
from tests.faults.rig import Rig
from tests.faults.storm import Storm

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(1_200),
    pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH"),
]
FULL, SOME = 5_000, 150


async def test_reconnect_storm(rig: Rig, conn: psycopg.Connection, long: bool) -> None:
    """The broker is killed and forgets everybody; all connect again, send what is not receipted, and are settled."""
    count = FULL if long else SOME
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2 * count + 200:
        pytest.skip(f"{count} connections are more than this account may open")
    serials = [f"storm-{n}" for n in range(count)]
    await asyncio.to_thread(fleet.enrol, conn, serials)
    conn.commit()
    with closing(Book(rig.path)) as book, rig.serving(window=2_000) as gateway:
        before = gateway.memory()
        storm = Storm(book, [f"acme.{serial}" for serial in serials], rig.broker.port)
        storm.measure()
        came = await storm.settled(600)
        rig.broker.kill()
        storm.measure()  # while nobody listens
        storm.attempts.clear()
        await asyncio.to_thread(rig.broker.start)
        took = await storm.settled(600)
        attempts = Counter(storm.attempts)
        grown = gateway.memory() - before
        await storm.close()
    found = await asyncio.to_thread(rig.clean)
    assert 2 * count == found.stored
    assert max(attempts.values()) < sum(attempts.values()) / 2 or not long, "jitter spreads a fleet"
    rig.note(
        f"reconnect storm of {count} units", found, first_come_s=round(came, 1), recovered_s=round(took, 1),
        connections=sum(attempts.values()), most_in_a_tenth_s=max(attempts.values()), grown_kib=grown,
    )  # fmt: skip
