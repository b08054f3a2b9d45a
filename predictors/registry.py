"""Wear models by name."""

from collections.abc import Iterable, Mapping
from typing import Any

from predictors.artifact import DamagedArtifact
from predictors.calendar import Calendar
from predictors.family import Family
from predictors.fused import Fused
from predictors.hit import Hit
from predictors.predictor import Predictor
from predictors.rated import Rated
from predictors.weibull import Weibull

MODELS: dict[str, type[Predictor]] = {model.name: model for model in (Rated, Weibull, Hit, Fused, Calendar)}


def named(name: str) -> type[Predictor]:
    """Return the model of that name, to be built with a Declaration; raise LookupError naming those that exist."""
    try:
        return MODELS[name]
    except KeyError:
        raise LookupError(f"no wear model is called {name!r}; there are {', '.join(sorted(MODELS))}") from None


def load(artifact: Mapping[str, Any]) -> Predictor:
    """Return the fitted model of an artifact, whatever its name; raise DamagedArtifact where that cannot be."""
    name = artifact.get("name") if isinstance(artifact, Mapping) else None
    if not isinstance(name, str) or name not in MODELS:
        raise DamagedArtifact(f"artifact names no wear model: {name!r}")
    return MODELS[name].from_artifact(artifact)


def family(artifacts: Iterable[Mapping[str, Any]]) -> Family:
    """Return what fitted sibling product models tell a new one; raise DamagedArtifact as load does."""
    return Family.of([load(artifact).sibling() for artifact in artifacts])
