"""Random pipelines over random frames, from the list of what the kit exports. One seed is one case, for ever."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

TRAINED_ON, HELD, FRESH = 160, 60, 200
WORDS = ["red", "green", "blue", "größe", "日本", 'a"b', ""]


@dataclass
class Drawn:
    """A fitted pipeline, the frames for its export, and rows that its export never saw."""

    pipeline: Any
    train: pd.DataFrame
    held: pd.DataFrame
    fresh: pd.DataFrame


def draw(seed: int) -> Drawn:
    """The case of a seed: the first of its draws that scikit-learn itself fits."""
    for attempt in range(10):
        try:
            return _drawn(seed + attempt * 1_000_000)
        except (ValueError, TypeError):  # such as a scaler of booleans alone
            continue
    raise AssertionError(f"none of ten draws of seed {seed} can be fitted")


def _drawn(seed: int) -> Drawn:
    chance = random.Random(seed)
    kinds = _kinds(chance)
    frame = _frame(kinds, TRAINED_ON + HELD + FRESH, np.random.default_rng(seed))
    y = _target(chance, frame, seed)
    train, held, fresh = frame[:TRAINED_ON], frame[TRAINED_ON : TRAINED_ON + HELD], frame[TRAINED_ON + HELD :]
    last = chance.choice(NUMBERS if y.dtype.kind == "f" else LABELS)(chance)
    pipeline = make_pipeline(_columns(chance, kinds), *_between(chance), last)
    if y.dtype.kind == "f" and chance.random() < 0.2:
        pipeline = TransformedTargetRegressor(pipeline, func=np.log1p, inverse_func=np.expm1)
        y = np.abs(y)
    return Drawn(pipeline.fit(train, y[:TRAINED_ON]), train, held, _edged(fresh, train, chance))


def _kinds(chance: random.Random) -> dict[str, str]:
    """Columns by name: what they hold."""
    numbers = ["float", "gaps", "integer", "flag", "skewed", "single", "nullable"]
    texts = ["text", "texts with gaps", "category", "few"]
    chosen = chance.sample(numbers, chance.randint(1, 4)) + chance.sample(texts, chance.randint(0, 3))
    if chance.random() < 0.1:
        return {f"c{i}": "single" for i in range(chance.randint(2, 5))}  # a float32 frame
    return {chance.choice(("{}", "{}.x", "{} (é)")).format(k): k for k in chosen}


def _frame(kinds: dict[str, str], rows: int, rng: np.random.Generator) -> pd.DataFrame:
    makers: dict[str, Any] = {
        "float": lambda: rng.normal(size=rows),
        "gaps": lambda: np.where(rng.random(rows) < 0.15, np.nan, rng.normal(50, 20, rows)),
        "integer": lambda: rng.integers(0, 12, rows),
        "flag": lambda: rng.random(rows) < 0.4,
        "skewed": lambda: rng.lognormal(3, 1.5, rows),
        "single": lambda: rng.normal(size=rows).astype("float32"),
        "nullable": lambda: pd.array(
            np.where(rng.random(rows) < 0.2, None, rng.integers(0, 9, rows)), dtype="Int64"
        ),
        "text": lambda: rng.choice(WORDS, rows),
        "texts with gaps": lambda: pd.Series(rng.choice([*WORDS[:4], np.nan], rows)).replace("nan", np.nan),
        "category": lambda: pd.Categorical(rng.choice(WORDS[:3], rows)),
        "few": lambda: rng.choice(["a", "b"], rows, p=[0.98, 0.02]),
    }
    return pd.DataFrame({name: makers[kind]() for name, kind in kinds.items()})


def _target(chance: random.Random, frame: pd.DataFrame, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed + 1)
    parts = [pd.Series(frame[c].astype(object)).map(_weight).rank() for c in frame]
    score = sum(p.fillna(0) / (p.std() + 1) for p in parts) + rng.normal(0, 0.5, len(frame))
    score = np.asarray(score, dtype=np.float64)
    if chance.random() < 0.4:
        return score
    classes = chance.choice(([0, 1], [False, True], ["no", "yes"], [3, 5, 9], ["x", "y", "z"]))
    edges = np.quantile(score, np.arange(1, len(classes)) / len(classes))
    return np.asarray(classes)[np.digitize(score, edges)]


def _weight(value: Any) -> float:
    """A number for any value: equal values, equal numbers."""
    return float(value) if isinstance(value, int | float) else float(len(str(value)))


def _columns(chance: random.Random, kinds: dict[str, str]) -> Any:
    numbers = [n for n, k in kinds.items() if k not in ("text", "texts with gaps", "category", "few")]
    texts = [n for n in kinds if n not in numbers]
    chance.shuffle(numbers)
    cut = chance.randint(0, len(numbers))
    branches = [
        ("one", _numbers(chance, [kinds[n] for n in numbers[:cut]]), numbers[:cut]),
        ("two", _numbers(chance, [kinds[n] for n in numbers[cut:]]), numbers[cut:]),
        ("text", _texts(chance), texts),
    ]
    chance.shuffle(branches)
    return ColumnTransformer([b for b in branches if b[2]], sparse_threshold=0)


def _numbers(chance: random.Random, kinds: list[str]) -> Any:
    imputer = SimpleImputer(
        strategy=chance.choice(["mean", "median", "most_frequent"]), add_indicator=chance.random() < 0.2
    )
    # scikit-learn's imputer refuses booleans alone.
    steps: list[Any] = [imputer] if set(kinds) - {"flag"} else []
    makers = [
        StandardScaler,
        lambda: MinMaxScaler(clip=chance.random() < 0.5),
        MaxAbsScaler,
        RobustScaler,
        PowerTransformer,
        lambda: PolynomialFeatures(2, interaction_only=chance.random() < 0.5),
        lambda: KBinsDiscretizer(
            chance.randint(2, 5),
            encode=chance.choice(["ordinal", "onehot-dense"]),
            strategy=chance.choice(["uniform", "quantile"]),
            quantile_method="averaged_inverted_cdf",
        ),
        lambda: FunctionTransformer(np.abs),
        lambda: "passthrough",
    ]
    return make_pipeline(*steps, *[chance.choice(makers)() for _ in range(chance.randint(0, 2))])


def _texts(chance: random.Random) -> Any:
    steps: list[Any] = []
    if chance.random() < 0.5:
        steps.append(
            chance.choice(
                [
                    SimpleImputer(strategy="most_frequent"),
                    SimpleImputer(strategy="constant", fill_value="none"),
                ]
            )
        )
    encoders = [
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10, sparse_output=False),
        OneHotEncoder(handle_unknown="ignore", drop="if_binary", sparse_output=False),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-3),
        OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=99, encoded_missing_value=-3, max_categories=3
        ),
        TargetEncoder(random_state=0, target_type="binary"),
    ]
    return make_pipeline(*steps, chance.choice(encoders))


def _between(chance: random.Random) -> list[Any]:
    steps: list[Any] = [VarianceThreshold(), StandardScaler(), PCA(1, random_state=0), SelectKBest(k=1)]
    return [chance.choice(steps)] if chance.random() < 0.4 else []


def _forest(chance: random.Random) -> dict[str, Any]:
    return {"n_estimators": chance.randint(1, 9), "max_depth": chance.choice([None, 3, 6]), "random_state": 0}


LABELS: list[Any] = [
    lambda c: LogisticRegression(C=c.choice([0.01, 1, 100]), max_iter=300),
    lambda c: SGDClassifier(loss=c.choice(["log_loss", "hinge"]), random_state=0),
    lambda c: LinearSVC(),
    lambda c: SVC(kernel=c.choice(["rbf", "linear"])),
    lambda c: LinearDiscriminantAnalysis(),
    lambda c: GaussianNB(),
    lambda c: KNeighborsClassifier(c.choice([3, 7])),
    lambda c: MLPClassifier((6,), max_iter=30, random_state=0),
    lambda c: DecisionTreeClassifier(max_depth=c.choice([None, 4]), random_state=0),
    lambda c: RandomForestClassifier(**_forest(c)),
    lambda c: ExtraTreesClassifier(**_forest(c)),
    lambda c: GradientBoostingClassifier(n_estimators=8, random_state=0),
    lambda c: HistGradientBoostingClassifier(max_iter=8, random_state=0),
    lambda c: VotingClassifier(
        [("l", LogisticRegression(max_iter=300)), ("f", RandomForestClassifier(**_forest(c)))], voting="soft"
    ),
    lambda c: StackingClassifier(
        [("l", LogisticRegression(max_iter=300)), ("f", RandomForestClassifier(**_forest(c)))], cv=2
    ),
    lambda c: CalibratedClassifierCV(GaussianNB(), method=c.choice(["isotonic", "sigmoid"]), cv=2),
    lambda c: OneVsRestClassifier(LogisticRegression(max_iter=300)),
]
NUMBERS: list[Any] = [
    lambda c: LinearRegression(),
    lambda c: Ridge(),
    lambda c: ElasticNet(0.01),
    lambda c: SVR(),
    lambda c: KNeighborsRegressor(3),
    lambda c: MLPRegressor(hidden_layer_sizes=(6,), max_iter=30, random_state=0),
    lambda c: DecisionTreeRegressor(max_depth=c.choice([None, 4]), random_state=0),
    lambda c: RandomForestRegressor(**_forest(c)),
    lambda c: ExtraTreesRegressor(**_forest(c)),
    lambda c: GradientBoostingRegressor(n_estimators=8, random_state=0),
    lambda c: HistGradientBoostingRegressor(max_iter=8, random_state=0),
    lambda c: VotingRegressor([("l", Ridge()), ("f", RandomForestRegressor(**_forest(c)))]),
]


def _edged(fresh: pd.DataFrame, train: pd.DataFrame, chance: random.Random) -> pd.DataFrame:
    """Fresh rows, some with values that training saw: ties, bin edges and thresholds lie there."""
    fresh = fresh.reset_index(drop=True)
    for column in fresh:
        some = chance.sample(range(len(fresh)), 40)
        taken = train[column].sample(40, random_state=chance.randint(0, 999)).to_numpy()
        values = fresh[column].copy()
        values.iloc[some] = taken
        fresh[column] = values.astype(train[column].dtype)
    return fresh
