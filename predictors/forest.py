"""Extremely randomised trees as plain arrays: grown by scikit-learn, kept as JSON, walked by predictors.treewalk.

Geurts, Ernst & Wehenkel (2006), "Extremely randomized trees", Machine Learning 63.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from predictors import treewalk
from predictors.artifact import DamagedArtifact
from predictors.batch import Array
from predictors.treewalk import Walk

TREES = 25
LEAVES = 128  # of a tree: 16 KiB of nodes, which stay in the first cache while rows walk through
LEAST_IN_LEAF = 10


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
    _walks: list[Walk] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def grow(cls, features: NDArray[np.float32], target: Array, *, trees: int = TREES) -> Self:
        """Return a forest that predicts target (r,) from features (r, p); the same rows always give the same trees."""
        order = np.lexsort(np.column_stack([features, target]).T)
        model = ExtraTreesRegressor(trees, min_samples_leaf=LEAST_IN_LEAF, max_leaf_nodes=LEAVES, random_state=0)
        model.fit(features[order], target[order])
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

    def predict(self, features: NDArray[np.float32]) -> Array:
        """Return the mean of the trees, (r,), at features (r, p).

        A row's sum runs over the trees in their order whatever rows stand beside it. Those that are alike in what is
        asked most walk one after another: they go the same way, which a processor foresees.
        """
        if not self._walks:
            self._walks.extend(treewalk.walks(self.nodes(), features.shape[1]))
        order = np.argsort(features[:, self._asked_most()])
        rows = np.ascontiguousarray(features).take(order, axis=0)
        total = np.zeros(order.size)
        for walk in self._walks:
            total += walk(rows)
        mean = np.empty(order.size)
        mean[order] = total / self.roots.size
        return mean

    def written(self) -> dict[str, Any]:
        """Return the numbers as plain lists."""
        columns = {name: getattr(self, name) for name in ("feature", "left", "right", "roots")}
        # The shortest decimals that come back to the same single precision: half as long as those of its double.
        threshold = [float(text) for text in self.threshold.astype(str)]
        numbers = {name: column.tolist() for name, column in {**columns, "value": self.value}.items()}
        return {**numbers, "threshold": threshold, "depth": self.depth}

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
        downward = same and within and _downward(whole["roots"], whole["left"], whole["right"])
        if not (nodes and whole["roots"].size and same and within and known and downward and 0 <= depth <= nodes):
            raise DamagedArtifact(f"artifact's trees do not fit {width} features")
        if not (np.isfinite(value).all() and np.isfinite(threshold).all()):
            raise DamagedArtifact("artifact's trees hold numbers that are not finite")
        return cls(whole["feature"], threshold, whole["left"], whole["right"], value, whole["roots"], depth)

    def nodes(self) -> list[treewalk.Nodes]:
        """Return the trees one by one, each with its own numbering from its root on."""
        bounds = [*self.roots.tolist(), self.value.size]
        return [
            treewalk.Nodes(
                self.feature[lo:hi], self.threshold[lo:hi], self.left[lo:hi] - lo, self.right[lo:hi] - lo,
                self.value[lo:hi], self.depth,
            )
            for lo, hi in itertools.pairwise(bounds)
        ]  # fmt: skip

    def _asked_most(self) -> int:
        """Return the feature that most nodes ask for."""
        asks = self.left != np.arange(self.left.size)
        return int(np.bincount(self.feature[asks], minlength=1).argmax())


def _downward(roots: NDArray[np.int32], left: NDArray[np.int32], right: NDArray[np.int32]) -> bool:
    """Tell whether every node is a leaf or leads on to later ones of its own tree, so that every walk ends."""
    own = np.arange(left.size)
    if not roots.size or roots[0] != 0 or (np.diff(roots) <= 0).any():
        return False
    end = np.append(roots[1:], left.size)[np.searchsorted(roots, own, side="right") - 1]
    leaf = (left == own) & (right == own)
    return bool((leaf | ((left > own) & (right > own) & (left < end) & (right < end))).all())


def _single(threshold: Array) -> NDArray[np.float32]:
    """Return thresholds in single precision, rounded down: what lay above one must not come to lie on it."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)
