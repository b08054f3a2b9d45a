"""The gateway's ingest with a point at which it is killed: `python -m tests.faults.victim POINT NTH`.

The points lie after receiving a batch, before its commit (everything is written), and between commit and
acknowledgement. Production code knows nothing of them: this process replaces the steps around them. HASTY plants the
fault that all of this is against: it acknowledges before it commits. Where WEARWELL_TEST_KEEPALIVE is set, half-open
connections are given up after so many seconds and a half; WEARWELL_TEST_SESSION is how long a Kafka group waits for us.
"""

import contextlib
import os
import signal
import sys
import time

from gateway import log, settings
from gateway.ingest import broker, pipeline, service, shares
from gateway.ingest.annex import Annex
from gateway.ingest.kafka import clients
from gateway.ingest.mail import Mail

DRAIN = "drain"  # no point to die at: `wearwell ingest --drain`
HASTY = "hasty"
POINTS = ("after_receive", "before_commit", "before_ack", "after_ack")


class Doomed:
    """Counts how often each point is passed, and ends the process at the one that was chosen."""

    def __init__(self, point: str, nth: int) -> None:
        self.point, self.left = point, nth

    def passes(self, point: str) -> None:
        """Pass a point, perhaps for the last time."""
        if point == self.point:
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def main(point: str, nth: int) -> None:
    """Run ingest until killed, by itself or others."""
    doomed = Doomed(point, nth)
    take = pipeline.take

    def take_and_pass(*arguments):  # type: ignore[no-untyped-def]  # noqa: ANN002, ANN202
        outcome = take(*arguments)
        doomed.passes("before_commit")
        return outcome

    pipeline.take = take_and_pass

    class Victim(service.Ingest):
        def settle(self, batch: Mail) -> service.Outcome:
            doomed.passes("after_receive")
            if doomed.point == HASTY:
                super().acknowledge(batch)
                time.sleep(1.0)  # it is heard of
                doomed.passes(HASTY)
            return super().settle(batch)

        def acknowledge(self, batch: Mail) -> None:
            doomed.passes("before_ack")
            super().acknowledge(batch)
            doomed.passes("after_ack")

    service.Ingest = Victim  # type: ignore[misc]  # put in its place on purpose
    broker.KEEPALIVE = int(os.environ.get("WEARWELL_TEST_KEEPALIVE", broker.KEEPALIVE))
    clients.SESSION = float(os.environ.get("WEARWELL_TEST_SESSION", clients.SESSION))
    clients.HEARTBEAT = clients.SESSION / 6
    log.configure("info")
    found = settings.load()
    assert found.database_dsn
    dsn = found.database_dsn.get_secret_value()
    shares.WORTH_IT = 2  # so that the annex has its part in everything
    with contextlib.closing(Annex.start(dsn)) as annex:
        service.run(found, dsn, annex=annex, drain=point == DRAIN)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
