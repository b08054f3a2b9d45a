"""Jobs are deferred in the caller's transaction: an effect is queued exactly when its cause is committed."""

import psycopg

from gateway import jobs


def test_a_rolled_back_cause_leaves_no_job(conn: psycopg.Connection) -> None:
    """What was deferred goes with the transaction it was deferred in."""
    jobs.defer(conn, "react", event_id=1)
    conn.rollback()
    jobs.defer(conn, "react", event_id=2)
    conn.commit()
    assert [({"event_id": 2},)] == conn.execute("select args from procrastinate_jobs").fetchall()
