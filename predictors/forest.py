"""Extremely randomised trees as plain arrays: grown by scikit-learn, kept as JSON, walked with numpy.

Geurts, Ernst & Wehenkel (2006), "Extremely randomized trees", Machine Learning 63.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from predictors.artifact import DamagedArtifact
from predictors.batch import Array

TREES = 80
LEAST_IN_LEAF = 5
CHUNK = 8192  # rows walked together, so that they stay in the cache


@dataclass(frozen=True, slots=True)
class Forest:
    """Hold t trees with k nodes in all; a leaf is its own child.

    feature, left, right: (k,) integers; threshold, value: (k,). A row goes left where its feature is <= threshold.
    roots: (t,) the trees' first nodes. depth: steps from a root to the farthest leaf.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: Array
    roots: NDArray[np.int32]
    depth: int

    @classmethod
    def grow(cls, features: Array, target: Array, *, trees: int = TREES) -> Self:
        """Return a forest that predicts target (r,) from features (r, p); the same rows always give the same trees."""
        order = np.lexsort(np.column_stack([features, target]).T)
        model = ExtraTreesRegressor(trees, min_samples_leaf=LEAST_IN_LEAF, random_state=0)
        model.fit(features[order].astype(np.float32), target[order])
        grown = [one.tree_ for one in model.estimators_]
        starts = np.cumsum([0, *(tree.node_count for tree in grown)])
        parts: dict[str, list[Any]] = {"feature": [], "threshold": [], "left": [], "right": [], "value": []}
        for start, tree in zip(starts[:-1], grown, strict=True):
            own = np.arange(tree.node_count)
            leaf = tree.children_left < 0
            parts["feature"].append(np.where(leaf, 0, tree.feature))
            parts["threshold"].append(np.where(leaf, 0.0, tree.threshold))
            parts["left"].append(start + np.where(leaf, own, tree.children_left))
            parts["right"].append(start + np.where(leaf, own, tree.children_right))
            parts["value"].append(tree.value.reshape(-1))
        return cls(
            np.concatenate(parts["feature"]).astype(np.int32),
            _single(np.concatenate(parts["threshold"])),
            np.concatenate(parts["left"]).astype(np.int32),
            np.concatenate(parts["right"]).astype(np.int32),
            np.concatenate(parts["value"]).astype(np.float64),
            starts[:-1].astype(np.int32),
            max(int(tree.max_depth) for tree in grown),
        )

    def predict(self, features: Array) -> Array:
        """Return the mean of the trees, (r,), at features (r, p)."""
        rows = features.astype(np.float32)
        out = np.empty(rows.shape[0])
        for start in range(0, rows.shape[0], CHUNK):
            out[start : start + CHUNK] = self._walk(rows[start : start + CHUNK])
        return out

    def written(self) -> dict[str, Any]:
        """Return the numbers as plain lists."""
        columns = {name: getattr(self, name) for name in ("feature", "left", "right", "roots")}
        numbers = {"threshold": self.threshold.astype(np.float64), "value": self.value}
        return {name: column.tolist() for name, column in {**columns, **numbers}.items()} | {"depth": self.depth}

    @classmethod
    def read(cls, numbers: Mapping[str, Any], width: int) -> Self:
        """Return what was written; raise DamagedArtifact where it is no forest over `width` features."""
        try:
            whole = {name: np.array(numbers[name], dtype=np.int32) for name in ("feature", "left", "right", "roots")}
            threshold = np.array(numbers["threshold"], dtype=np.float32)
            value, depth = np.array(numbers["value"], dtype=np.float64), int(numbers["depth"])
        except (KeyError, TypeError, ValueError, OverflowError) as wrong:
            raise DamagedArtifact(f"artifact's trees cannot be read: {wrong}") from None
        nodes = value.size
        same = whole["roots"].ndim == 1 and all(
            column.shape == (nodes,) for column in (whole["feature"], whole["left"], whole["right"], threshold)
        )
        within = all(((whole[name] >= 0) & (whole[name] < nodes)).all() for name in ("left", "right", "roots"))
        known = ((whole["feature"] >= 0) & (whole["feature"] < width)).all() if same else False
        if not (nodes and whole["roots"].size and same and within and known and 0 <= depth <= nodes):
            raise DamagedArtifact(f"artifact's trees do not fit {width} features")
        if not (np.isfinite(value).all() and np.isfinite(threshold).all()):
            raise DamagedArtifact("artifact's trees hold numbers that are not finite")
        return cls(whole["feature"], threshold, whole["left"], whole["right"], value, whole["roots"], depth)

    def _walk(self, rows: NDArray[np.float32]) -> Array:
        n, p = rows.shape
        flat, base = rows.reshape(-1), np.arange(n, dtype=np.int64) * p
        total = np.zeros(n)
        for root in self.roots:
            node = np.full(n, root, dtype=np.int32)
            for _ in range(self.depth):
                goes_left = flat[base + self.feature[node]] <= self.threshold[node]
                following = np.where(goes_left, self.left[node], self.right[node])
                if np.array_equal(following, node):
                    break
                node = following
            total += self.value[node]
        return total / self.roots.size


def _single(threshold: Array) -> NDArray[np.float32]:
    """Return thresholds in single precision, rounded down: what lay above one must not come to lie on it."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)
