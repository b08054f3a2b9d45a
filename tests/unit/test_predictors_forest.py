"""Trees as plain arrays: scikit-learn's own to the last bit, and refused when damaged."""

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesRegressor

from predictors.artifact import DamagedArtifact
from predictors.forest import LEAST_IN_LEAF, LEAVES, TREES, Forest

WIDTH = 5
INDICES = ("feature", "left", "right", "roots")
NUMBERS = ("threshold", "value")


def sample(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    table = rng.standard_normal((n, WIDTH)).astype(np.float32)
    return table, table[:, 0] * np.exp(table[:, 1]) + 0.1 * rng.standard_normal(n)


@cache
def grown() -> Forest:
    return Forest.grow(*sample(300), trees=12)


def written() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(grown().written()))
    return found


def test_a_forest_says_what_scikit_learn_says() -> None:
    """The arrays walked with numpy come to the prediction of the trees they were taken from."""
    table, target = sample(400)
    order = np.lexsort(np.column_stack([table, target]).T)
    theirs = ExtraTreesRegressor(TREES, min_samples_leaf=LEAST_IN_LEAF, max_leaf_nodes=LEAVES, random_state=0)
    theirs.fit(table[order], target[order])
    asked, _ = sample(2000, 2)
    assert pytest.approx(theirs.predict(asked), rel=1e-9) == Forest.grow(table, target).predict(asked)


def test_numbers_that_hardly_differ_part_as_they_do_there() -> None:
    """A threshold between two neighbouring numbers of single precision parts them, not one later."""
    table, target = sample(300)
    table = (1e6 + np.round(table * 4.0) / 16.0).astype(np.float32)
    order = np.lexsort(np.column_stack([table, target]).T)
    theirs = ExtraTreesRegressor(20, min_samples_leaf=LEAST_IN_LEAF, max_leaf_nodes=LEAVES, random_state=0)
    theirs.fit(table[order], target[order])
    mine = Forest.grow(table, target, trees=20).predict(table)
    assert pytest.approx(theirs.predict(table), rel=1e-9) == mine


def test_the_order_of_rows_does_not_matter() -> None:
    """The same rows in another order grow the same trees."""
    table, target = sample(120)
    order = np.random.default_rng(3).permutation(120)
    one, other = Forest.grow(table, target, trees=5), Forest.grow(table[order], target[order], trees=5)
    assert one.written() == other.written()


def test_a_row_does_not_care_who_stands_beside_it() -> None:
    """Asked alone or in a crowd, a row gets the same number to the last bit."""
    asked, _ = sample(5000, 4)
    whole = grown().predict(asked)
    rows = [0, 17, 2500, 4999]
    assert [grown().predict(asked[row : row + 1])[0] for row in rows] == whole[rows].tolist()
    assert 0 == grown().predict(asked[:0]).size


def test_what_comes_back_from_json_says_the_same_to_the_last_bit() -> None:
    """Written, sent through JSON and read: every number is where it was."""
    again = Forest.read(written(), WIDTH)
    asked, _ = sample(500, 5)
    assert np.array_equal(grown().predict(asked), again.predict(asked))
    assert grown().written() == again.written()


@pytest.mark.parametrize("key", [*INDICES, *NUMBERS, "depth"])
@pytest.mark.parametrize("wrong", [None, "x", [], [None], ["a"], [[0]], {"a": 1}, [2**40]])
def test_a_field_that_is_none_is_refused(key: str, wrong: Any) -> None:
    """Nothing, words, nothing in it, tables, numbers beyond any tree: a damaged artifact, and no other error."""
    if key in NUMBERS and wrong == [2**40]:
        wrong = [float("nan")]
    with pytest.raises(DamagedArtifact):
        Forest.read(written() | {key: wrong}, WIDTH)
    with pytest.raises(DamagedArtifact):
        Forest.read({name: value for name, value in written().items() if name != key}, WIDTH)


@given(key=st.sampled_from([*INDICES, *NUMBERS]), place=st.integers(0, 10_000), data=st.data())
@settings(max_examples=80)
def test_one_number_that_cannot_be_is_refused(key: str, place: int, data: st.DataObject) -> None:
    """A single index outside the trees, a single number that is not finite, one entry more or less."""
    whole = written()
    column = whole[key]
    place %= len(column)
    outside = st.one_of(st.integers(-(2**31), -1), st.integers(len(whole["value"]), 2**31 - 1))
    wrong = st.sampled_from([float("nan"), float("inf"), float("-inf")]) if key in NUMBERS else outside
    how = data.draw(st.sampled_from(["wrong", "cut", "more"] if key != "roots" else ["wrong"]))
    if how == "cut":
        del column[place]
    elif how == "more":
        column.insert(place, column[place])
    else:
        column[place] = data.draw(wrong)
    with pytest.raises(DamagedArtifact):
        Forest.read(whole, WIDTH)


@pytest.mark.parametrize("depth", [-1, 10**6])
def test_a_depth_that_cannot_be_is_refused(depth: int) -> None:
    """No tree is deeper than it has nodes."""
    with pytest.raises(DamagedArtifact, match="do not fit"):
        Forest.read(written() | {"depth": depth}, WIDTH)


def test_trees_over_other_features_are_refused() -> None:
    """Trees that ask for a fifth feature cannot be read over three."""
    with pytest.raises(DamagedArtifact, match="do not fit 3 features"):
        Forest.read(written(), 3)
