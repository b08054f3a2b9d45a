"""Answers of the bench as plain data, which JSON can hold: numbers that are none become null."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

import numpy as np


def plain(value: Any) -> Any:  # noqa: PLR0911  # one line for each kind of value
    """Return dataclasses as mappings, arrays as lists, dates in ISO 8601, and null for what is no finite number."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return round(value, 9) if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    return value
