"""Logs: one JSON line per request, batch and job, on stderr."""

import logging
import sys

import structlog

SECRET_WORDS = ("password", "secret", "token", "authorization", "cookie", "api_key", "dsn")


def hide_secrets(_: object, __: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Blank every field whose name says that it is a secret."""
    for name in entry:
        if any(word in name.lower() for word in SECRET_WORDS):
            entry[name] = "…"
    return entry


def to_stderr() -> None:
    """Send to stderr what is logged by a command that configures no logs of its own: its stdout is data."""
    structlog.configure(logger_factory=_stderr)


def configure(level: str = "info", *, human: bool = False) -> None:
    """Send logs to stderr from `level` up: as JSON lines, or coloured for a person."""
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=_stderr,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)  # what libraries warn of, such as a job that failed
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def _stderr(*_: object) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stderr)  # the stderr of that moment
