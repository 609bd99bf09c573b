"""The rule for IsolationForest: a TreeEnsemble of path lengths, and scikit-learn's own score from their sum."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.ensemble._iforest import _average_path_length

from tenon.inputs import Array
from tenon.lowering.columns import Columns
from tenon.lowering.ensemble import Tree, ensemble
from tenon.lowering.graph import Graph
from tenon.lowering.rules import Answers, lowers
from tenon.lowering.trees import note_thresholds, shape


@lowers(IsolationForest)
def isolation_forest(fitted: IsolationForest, columns: Columns, g: Graph) -> Answers:
    """Whether a row is an outlier, and its decision function: below zero for outliers."""
    block = columns.rounded(g)
    trees = _path_lengths(fitted)
    for tree in trees:
        note_thresholds(tree, block.columns, g, rounded=True)
    depth = ensemble(g, block.value, trees, 1)
    most = float(len(trees) * _average_path_length([fitted._max_samples])[0])
    # A forest of single rows has no depths: scikit-learn gives each row the exponent one.
    exponent = g.arith("Div", depth, most) if most else g.arith("Add", g.arith("Mul", depth, 0), 1)
    raised = g.op("Pow", g.constant(2, "float64"), g.op("Neg", exponent))
    score = g.flat(g.arith("Sub", g.op("Neg", raised), fitted.offset_))
    turn = _turn(lambda d: -(2 ** -(d / most if most else np.ones_like(d))) - fitted.offset_)
    outlier = g.flat(g.op("Less", depth, g.constant(turn, "float64"), elem="bool"))
    return {"outlier": outlier, "score": score, "decision": score}


def _path_lengths(fitted: IsolationForest) -> list[Tree]:
    """What each tree adds to a row's depth: the path to its leaf, and the mean path that the leaf stands for."""
    trees = []
    for estimator, features, path, rest in zip(
        fitted.estimators_,
        fitted.estimators_features_,
        fitted._decision_path_lengths,
        fitted._average_path_length_per_tree,
        strict=True,
    ):
        tree = shape(estimator)
        tree.feature = np.asarray(features)[np.maximum(tree.feature, 0)]
        tree.weight = np.asarray(path + rest - 1.0, dtype=np.float64)
        trees.append(tree)
    return trees


def _turn(score: Callable[[Array], Array]) -> float:
    """The smallest depth whose score is not below zero; infinite if there is none.

    The threshold is often the score of a training row, so a last bit that an exponential has otherwise would flip
    it. The depth is a sum that has no such bits, and the score rises with it: so the depth is what is compared.
    """
    bits = [0, int(np.float64(np.inf).view(np.int64))]
    if score(np.zeros(1))[0] >= 0:
        return 0.0
    while bits[1] - bits[0] > 1:
        middle = sum(bits) // 2
        depth = np.array([middle], dtype=np.int64).view(np.float64)
        bits[int(score(depth)[0] >= 0)] = middle
    return float(np.int64(bits[1]).view(np.float64))
