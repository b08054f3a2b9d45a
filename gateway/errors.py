"""Errors that speak to people: what happened, why, what to do next."""

from enum import IntEnum


class Exit(IntEnum):
    """What the command line answers with."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 3
    UNREACHABLE = 4
    PARTIAL = 5


class WearwellError(Exception):
    """Something went wrong that a person should read about."""

    exit = Exit.FAILED


class ConfigurationError(WearwellError):
    """A setting is missing or wrong; the message names it, says why, and what would be right."""

    exit = Exit.CONFIGURATION


class Unreachable(WearwellError):
    """A service we need does not answer; the message names it and what to check."""

    exit = Exit.UNREACHABLE


class NotFound(WearwellError):
    """What was asked for does not exist, or not for this tenant."""


class Conflict(WearwellError):
    """What was asked for contradicts what already stands."""
