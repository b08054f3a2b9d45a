"""The process `wearwell work`: forecasts, prompts, and what follows from events."""

from functools import partial

from gateway import clock, metrics
from gateway.app.desk import desk
from gateway.db import readiness as store
from gateway.db.pool import Role, dsn_for, open_pool
from gateway.ingest import readiness
from gateway.operate import data_folder, database, exporter
from gateway.operate.fleet_metrics import FleetFigures
from gateway.operate.house import join
from gateway.settings import Settings
from gateway.worker.worker import Worker


def run(settings: Settings) -> None:
    """Forecast, prompt and react until SIGINT or SIGTERM; jobs under way are finished."""
    settings = join(settings)
    dsn = database.dsn(settings)
    answers = partial(store.database, dsn_for(dsn, Role.GATEWAY))
    metrics.follow("data_free_bytes", lambda: data_folder.room(settings.data_dir)[1])
    checks: exporter.Checks = {"broker": readiness.broker, "database": answers}
    with (
        open_pool(dsn, Role.GATEWAY) as pool,
        exporter.exported(
            settings.metrics_port, FleetFigures(pool.connection, clock.now), checks=checks, host=settings.metrics_host
        ),
    ):
        Worker(settings, dsn, pool, desk(settings, pool)).run()
