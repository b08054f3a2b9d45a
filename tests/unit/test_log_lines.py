"""Logs: what our own code and what libraries say, each as one JSON line."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from gateway import log


@contextmanager
def configured() -> Iterator[None]:
    """Configure logging as a process does that has none yet, for a while."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers.clear()
    log.configure("info")
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_each_line_is_json_whoever_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A job that failed is told by a library, with its reason: one line all the same."""
    with configured():
        structlog.get_logger().info("worked", jobs=3)
        reason = ValueError("no such order")
        logging.getLogger("procrastinate.worker").error("Job %s failed", "release", exc_info=reason)
    own, told = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert ("worked", 3, "info") == (own["event"], own["jobs"], own["level"])
    assert ("Job release failed", "error", "procrastinate.worker") == (told["event"], told["level"], told["logger"])
    assert "ValueError: no such order" in told["exception"]


def test_a_field_whose_name_says_that_it_is_secret_is_blanked(capsys: pytest.CaptureFixture[str]) -> None:
    """A token that somebody logs by mistake does not reach the log."""
    with configured():
        structlog.get_logger().info("linked", token="canary-4711", party_id=3)
    said = capsys.readouterr().err
    assert "canary-4711" not in said
    assert 3 == json.loads(said)["party_id"]


def test_a_command_that_configures_no_logs_keeps_them_off_its_data(capsys: pytest.CaptureFixture[str]) -> None:
    """What is logged under `--json` goes to stderr; in the JSON it would break whoever reads that."""
    log.to_stderr()
    try:
        structlog.get_logger().warning("version was made for another declaration")
    finally:
        structlog.reset_defaults()
    said = capsys.readouterr()
    assert ("", True) == (said.out, "version was made for another declaration" in said.err)
