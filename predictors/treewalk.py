"""Walking a tree from its root to the leaf of each row: by scikit-learn's compiled walk, else by numpy.

The compiled walk is one that scikit-learn uses for trees that it has read from a file; it is asked for by the layout of
a node, which a release may change: then numpy walks, six times as slowly, to the same leaf.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import _tree as compiled_trees

from predictors.batch import Array

Walk = Callable[[NDArray[np.float32]], Array]


@dataclass(frozen=True, slots=True)
class Nodes:
    """Hold the k nodes of one tree, its root first; a leaf is its own child. A row goes left where it is <= threshold.

    depth: steps after which every row has come to its leaf.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: Array
    depth: int


def walks(trees: list[Nodes], width: int) -> list[Walk]:
    """Return for each tree what gives the value of the leaf, (r,), of rows (r, width) in float32."""
    try:
        return [_compiled(tree, width) for tree in trees]
    except (AttributeError, TypeError, ValueError, KeyError):  # another release of scikit-learn, another layout
        return [_plain(tree) for tree in trees]


def _compiled(tree: Nodes, width: int) -> Walk:
    k = tree.value.size
    leaf = tree.left == np.arange(k)
    nodes = np.zeros(k, dtype=compiled_trees.NODE_DTYPE)
    nodes["left_child"] = np.where(leaf, compiled_trees.TREE_LEAF, tree.left)
    nodes["right_child"] = np.where(leaf, compiled_trees.TREE_LEAF, tree.right)
    nodes["feature"] = np.where(leaf, compiled_trees.TREE_UNDEFINED, tree.feature)
    nodes["threshold"] = np.where(leaf, compiled_trees.TREE_UNDEFINED, tree.threshold)
    nodes["n_node_samples"], nodes["weighted_n_node_samples"] = 1, 1.0
    built = compiled_trees.Tree(width, np.array([1], dtype=np.intp), 1)
    values = np.ascontiguousarray(tree.value, dtype=np.float64).reshape(-1, 1, 1)
    built.__setstate__({"max_depth": tree.depth, "node_count": k, "nodes": nodes, "values": values})
    return lambda rows: np.asarray(tree.value[built.apply(rows)])


def _plain(tree: Nodes) -> Walk:
    def walk(rows: NDArray[np.float32]) -> Array:
        n, p = rows.shape
        flat, base = rows.reshape(-1), np.arange(n, dtype=np.int64) * p
        node = np.zeros(n, dtype=np.int32)
        for _ in range(tree.depth):
            goes_left = flat[base + tree.feature[node]] <= tree.threshold[node]
            following = np.where(goes_left, tree.left[node], tree.right[node])
            if np.array_equal(following, node):
                break
            node = following
        return np.asarray(tree.value[node])

    return walk
