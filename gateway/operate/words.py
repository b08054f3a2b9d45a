"""Spans of time and numbers of things, in as few letters as a table has room for."""

from datetime import timedelta

STEPS = (("d", 86_400, 2), ("h", 3_600, 2), ("min", 60, 2), ("s", 1, 0))  # a unit from twice its length on


def lasting(span: timedelta) -> str:
    """Say how long something lasted: "40 s", "12 min", "5 h", "9 d"; a span below zero is none."""
    seconds = max(span.total_seconds(), 0.0)
    name, length = next((name, length) for name, length, times in STEPS if seconds >= times * length)
    return f"{seconds // length:,.0f} {name}"


def count(n: int, noun: str) -> str:
    """Say a number of things: "1 gap", "3 gaps"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
