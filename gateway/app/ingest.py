"""The process `wearwell ingest`: from the source of messages into the store."""

import gc
from contextlib import closing
from functools import partial

import numpy.ma  # noqa: F401  # np.unique asks for it: now, not in the first batch here and in the annex

from gateway.db.pool import Role, dsn_for
from gateway.ingest import readiness, service
from gateway.ingest.annex import Annex
from gateway.operate import database, exporter
from gateway.operate.house import join
from gateway.settings import Settings


def run(settings: Settings, *, drain: bool = False) -> None:
    """Carry messages from the broker into the store until SIGINT or SIGTERM; what was received is stored first.

    With `drain`, only what the broker still holds for this client id, whose session ends then.
    """
    settings = join(settings)
    dsn = database.dsn(settings)
    stored = partial(readiness.database, dsn_for(dsn, Role.GATEWAY))
    checks: exporter.Checks = {"broker": readiness.broker, "database": stored}
    gc.freeze()  # what is loaded by now stays, here and in the annex
    gc.set_threshold(1_000_000, 50, 50)  # more objects than a batch makes: they go with it and hold no cycles
    with (
        closing(Annex.start(dsn)) as annex,  # before there are threads; however this ends, the annex does
        exporter.exported(settings.metrics_port, checks=checks, host=settings.metrics_host),
    ):
        service.run(settings, dsn, annex=annex, drain=drain)
