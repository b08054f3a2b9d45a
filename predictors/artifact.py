"""Models as plain JSON: what is learned, sealed with a hash."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from predictors.declaration import Declaration

FORMAT = 1


class DamagedArtifact(ValueError):
    """The model artifact cannot be used; the previous version stays."""


def seal(name: str, declaration: Declaration, learned: Mapping[str, Any]) -> dict[str, Any]:
    """Return the artifact of a model: format, name, declaration, learned numbers, sha256 over all of it."""
    body = {"format": FORMAT, "name": name, "declaration": asdict(declaration), "learned": dict(learned)}
    body = json.loads(_canonical(body))
    return {**body, "sha256": _digest(body)}


def unseal(artifact: Mapping[str, Any], name: str) -> tuple[Declaration, dict[str, Any]]:
    """Return declaration and learned numbers of an artifact of the model `name`.

    Raises DamagedArtifact where a key is missing, the format or name is another, the hash does not match, a number is
    not finite, or the declaration cannot be.
    """
    try:
        body = {key: artifact[key] for key in ("format", "name", "declaration", "learned")}
        sealed, digest = artifact["sha256"], _digest(body)
    except KeyError as missing:
        raise DamagedArtifact(f"artifact lacks {missing}") from None
    except (TypeError, ValueError) as wrong:
        raise DamagedArtifact(f"artifact cannot be read: {wrong}") from wrong
    if body["format"] != FORMAT:
        raise DamagedArtifact(f"artifact has format {body['format']!r}, this version reads {FORMAT}")
    if body["name"] != name:
        raise DamagedArtifact(f"artifact is of model {body['name']!r}, not {name!r}")
    if sealed != digest:
        raise DamagedArtifact("artifact does not match its sha256: it was changed after it was sealed")
    try:
        declared = dict(body["declaration"])
        tuples = {"levels": tuple(declared["levels"]), "covariates": tuple(declared.get("covariates", ()))}
        return Declaration(**{**declared, **tuples}), dict(body["learned"])
    except (KeyError, TypeError, ValueError) as wrong:
        raise DamagedArtifact(f"artifact declares what cannot be: {wrong}") from wrong


def number(learned: Mapping[str, Any], key: str, *, positive: bool = True) -> float:
    """Return learned[key] as a finite (positive) float; raise DamagedArtifact otherwise."""
    value = learned.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DamagedArtifact(f"artifact's {key} is not a number: {value!r}")
    if positive and value <= 0:
        raise DamagedArtifact(f"artifact's {key} must be above zero: {value!r}")
    return float(value)


def _canonical(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(body).encode()).hexdigest()
