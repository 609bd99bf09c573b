"""What people train on tables: more than sixty kinds of pipelines, each with rows that it has not seen.

`CORPUS` holds a function for each, which takes the number of hold-out rows: a few hundred in CI, thousands in the long
form. Models are small, because what is held to account is the way of a value and not the size of a forest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from examples import Case, example
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB, MultinomialNB
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

TRAINED_ON = 400
NUMBERS = ["age", "income", "hours", "debt"]

Maker = Callable[[int], Case]
CORPUS: dict[str, Maker] = {}


def case(name: str, data: Callable[[int], tuple[Any, Any]], pipeline: Callable[[], Any]) -> None:
    """Adds a case: the pipeline is fitted on the first rows of the data, and the rest held out."""

    def make(rows: int) -> Case:
        X, y = data(TRAINED_ON + rows)
        return Case(pipeline().fit(X[:TRAINED_ON], y[:TRAINED_ON]), X[:TRAINED_ON], X[TRAINED_ON:])

    assert name not in CORPUS
    CORPUS[name] = make


# The data: made up, so that there are as many rows as are asked for.


def people(rows: int, *, gaps: float = 0.1, seed: int = 0) -> pd.DataFrame:
    """Numbers, text and what else a table of people has, with values missing everywhere."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.integers(17, 90, rows).astype("float64"),
            "income": np.round(rng.lognormal(10, 0.7, rows), 2),
            "hours": rng.normal(38, 9, rows),
            "debt": rng.exponential(5000, rows) * (rng.random(rows) < 0.6),
            "city": rng.choice(
                ["Köln", "Łódź", "東京", "São Paulo", "New York"], rows, p=[0.4, 0.3, 0.15, 0.1, 0.05]
            ),
            "job": rng.choice(["clerk", "nurse", "smith", "cook", "pilot"], rows),
            "children": rng.integers(0, 5, rows),
            "owner": rng.random(rows) < 0.4,
        }
    )
    for column in ("age", "income", "hours", "city", "job"):
        frame[column] = frame[column].where(rng.random(rows) >= gaps)
    return frame


def _score(frame: pd.DataFrame) -> np.ndarray:
    rng = np.random.default_rng(1)
    income = np.log(frame["income"].fillna(20000)) - 10
    known = frame["city"].isin(["Köln", "東京"]) + 0.5 * frame["children"]
    return np.asarray(income + frame["age"].fillna(40) / 40 + known + rng.normal(0, 0.5, len(frame)))


def yes_no(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    frame = people(rows)
    score = _score(frame)
    return frame, np.where(score > np.median(score[:TRAINED_ON]), "ja", "nein")


def grades(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    frame = people(rows)
    return frame, np.digitize(_score(frame), [1.5, 2.5, 3.5])


def amounts(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    frame = people(rows)
    return frame, np.exp(_score(frame))


def numbers(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Four columns of numbers without gaps, and three classes."""
    frame = people(rows, gaps=0)
    return frame[NUMBERS], np.digitize(_score(frame), [2.0, 3.0])


def numbers_two(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    X, y = numbers(rows)
    return X, y > 0


def numbers_amount(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    frame = people(rows, gaps=0)
    return frame[NUMBERS], _score(frame)


def gaps(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    X, y = yes_no(rows)
    return X[NUMBERS], y


def gaps_amount(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    X, y = amounts(rows)
    return X[NUMBERS], y


def categories(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Native categories beside numbers, both with gaps; XGBoost loses the names of those that are not ASCII."""
    X, y = yes_no(rows)
    X = X[[*NUMBERS, "city", "job"]]
    X["city"] = X["city"].map(
        {"Köln": "CGN", "Łódź": "LCJ", "東京": "TYO", "São Paulo": "SAO", "New York": "NYC"}
    )
    return X.astype({"city": "category", "job": "category"}), (y == "ja").astype(int)


def single(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    X, y = numbers(rows)
    return X.astype("float32"), y


def single_amount(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    X, y = numbers_amount(rows)
    return X.astype("float32"), y.astype("float32")


def wide(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Five hundred columns."""
    rng = np.random.default_rng(2)
    X = pd.DataFrame(rng.normal(size=(rows, 500)), columns=[f"c{i:03d}" for i in range(500)])
    return X, (X["c007"] + X["c499"] > 0).astype(int).to_numpy()


def odd_names(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    X, y = numbers(rows)
    return X.set_axis(["a.b", 'with "quotes"', "größe (m²)", "日本 語"], axis=1), y


def long_ids(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Identifiers that no double tells apart."""
    rng = np.random.default_rng(3)
    shop = rng.integers(2**60, 2**60 + 6, rows)
    X = pd.DataFrame({"shop": shop, "sum": rng.normal(size=rows)})
    return X, ((shop % 2) + X["sum"] > 0.5).astype(int).to_numpy()


def nullable(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """pandas' own types, with NA."""
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "count": pd.array(
                np.where(rng.random(rows) < 0.2, None, rng.integers(0, 9, rows)), dtype="Int64"
            ),
            "flag": pd.array(rng.choice([True, False, None], rows), dtype="boolean"),
            "ratio": pd.array(np.where(rng.random(rows) < 0.2, None, rng.normal(size=rows)), dtype="Float64"),
        }
    )
    return frame, (frame["count"].fillna(3) > 4).astype(bool).to_numpy()


def several(rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    X, _ = numbers(rows)
    y = _score(people(rows, gaps=0))
    return X, pd.DataFrame({"mean": y, "twice": 2 * y + X["hours"] / 10})


def several_classes(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    X, y = numbers(rows)
    return X, np.column_stack(
        [np.array(["low", "mid", "high"])[y], np.where(X["hours"] > 38, "long", "short")]
    )


def many_labels(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    X, y = numbers(rows)
    return X, np.column_stack([y > 0, X["hours"] > 38, X["age"] > 50]).astype(int)


def counts(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """An array of counts, as of words."""
    rng = np.random.default_rng(5)
    y = rng.integers(0, 3, rows)
    return rng.poisson(np.eye(3)[y] @ rng.uniform(0.2, 4, (3, 12))).astype("float64"), y


def sparse_numbers(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Numbers of which many are 0, so that trees turn about it, beside text."""
    frame = people(rows, gaps=0)
    frame["saved"] = np.where(frame["debt"] == 0, 0.0, frame["income"] / 100 - frame["debt"])
    y = np.where(frame["saved"] == 0, frame["hours"] > 38, frame["saved"] < 0)
    return frame[["saved", "hours", "city"]], y.astype(int)


def sparse_gaps(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    X, y = sparse_numbers(rows)
    rng = np.random.default_rng(6)
    return X.assign(**{c: X[c].where(rng.random(rows) >= 0.2) for c in ("saved", "hours")}), y


def constant_column(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    X, y = numbers(rows)
    return X.assign(**{f"also_{c}": X[c] ** 2 for c in NUMBERS}, version=3.7), y


def private_use(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Categories from Unicode's private area, of which the kit takes one for what is missing."""
    X, y = yes_no(rows)
    X["city"] = X["city"].map(
        {"Köln": "\ue001", "Łódź": "\ue001\ue001", "東京": "\ue002nan", "São Paulo": "\ue001 unseen"}
    )
    return X, y


def odd_labels(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    X, y = numbers(rows)
    return X, np.array(["", "\ue001", "\ue000"], dtype=object)[y]


def pixels(rows: int) -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    again = np.arange(rows) % len(X)
    return X[again], y[again]


# The pipelines.

SCALED = (SimpleImputer(strategy="median"), StandardScaler())
"""Steps for numbers with gaps."""
TEXT = ["city", "job"]


def prepared(last: Any, numbers: Any = None, text: Any = None) -> Any:
    """The most ordinary pipeline there is: impute and scale numbers, impute and encode text."""
    numbers = numbers or make_pipeline(*SCALED)
    text = text or make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    split = [("numbers", numbers, [*NUMBERS, "children", "owner"]), ("text", text, TEXT)]
    return make_pipeline(ColumnTransformer(split), last)


def scaled(last: Any) -> Any:
    return make_pipeline(StandardScaler(), last)


def sparse(*steps: Any) -> Any:
    """The default way of scikit-learn, whose one-hot columns make a sparse matrix of all."""
    encode = ("text", OneHotEncoder(handle_unknown="ignore"), ["city"])
    return make_pipeline(ColumnTransformer([encode], remainder="passthrough", sparse_threshold=1.0), *steps)


def forest(**options: Any) -> RandomForestClassifier:
    return RandomForestClassifier(15, random_state=0, **options)


ZEROS_FILLED = SimpleImputer(strategy="constant", fill_value=0)
FOREST_OF_NUMBERS = RandomForestRegressor(15, random_state=0)

case("logistic", yes_no, lambda: prepared(LogisticRegression(max_iter=500)))
case("logistic-of-four", grades, lambda: prepared(LogisticRegression(max_iter=1000)))
case("ridge", amounts, lambda: prepared(Ridge()))
case("lasso", amounts, lambda: prepared(Lasso(0.01)))
case("elastic-net", amounts, lambda: prepared(ElasticNet(0.01)))
case("poisson", amounts, lambda: prepared(PoissonRegressor()))
case(
    "searched",
    yes_no,
    lambda: GridSearchCV(prepared(LogisticRegression()), {"logisticregression__C": [0.1, 1]}, cv=3),
)
case("sgd", numbers, lambda: scaled(SGDClassifier(loss="log_loss", random_state=0)))
case("linear-svc", numbers, lambda: scaled(LinearSVC()))
case("lda", numbers, lambda: scaled(LinearDiscriminantAnalysis()))
case("lda-of-two", numbers_two, lambda: scaled(LinearDiscriminantAnalysis()))
case("gaussian-nb", numbers, lambda: scaled(GaussianNB()))
case("gaussian-nb-of-a-constant", constant_column, lambda: GaussianNB())
case("private-use", private_use, lambda: prepared(LogisticRegression(max_iter=500)))
case("multinomial-nb", counts, lambda: MultinomialNB())
case("svc", numbers, lambda: scaled(SVC(random_state=0)))
case("svc-polynomial", numbers_two, lambda: scaled(SVC(kernel="poly", degree=2)))
case("svr", numbers_amount, lambda: scaled(SVR()))
case("neighbours", numbers, lambda: scaled(KNeighborsClassifier(7)))
case("neighbours-of-numbers", numbers_amount, lambda: scaled(KNeighborsRegressor(5, weights="distance")))
case("mlp", yes_no, lambda: prepared(MLPClassifier((12,), max_iter=60, random_state=0)))
case(
    "mlp-of-numbers",
    numbers_amount,
    lambda: scaled(MLPRegressor(hidden_layer_sizes=(12, 6), activation="tanh", max_iter=60, random_state=0)),
)
case(
    "gaussian-process",
    numbers_amount,
    lambda: scaled(GaussianProcessRegressor(ConstantKernel() * RBF(), alpha=0.1)),
)
case(
    "gaussian-process-of-two",
    numbers_two,
    lambda: scaled(GaussianProcessClassifier(1.0 * RBF(), random_state=0)),
)
case("k-means", numbers, lambda: scaled(KMeans(4, n_init=2, random_state=0)))

case("tree", numbers, lambda: DecisionTreeClassifier(max_depth=6, random_state=0))
case("tree-of-numbers", gaps_amount, lambda: DecisionTreeRegressor(max_depth=6, random_state=0))
case("forest-behind-a-scaler", numbers, lambda: scaled(forest()))
case(
    "forest-of-numbers-behind-a-scaler",
    numbers_amount,
    lambda: scaled(RandomForestRegressor(15, random_state=0)),
)
case("forest-of-everything", grades, lambda: prepared(forest(max_depth=8)))
case("extra-trees", numbers, lambda: make_pipeline(RobustScaler(), ExtraTreesClassifier(15, random_state=0)))
case("boosting", numbers, lambda: GradientBoostingClassifier(n_estimators=15, random_state=0))
case(
    "boosting-of-numbers", numbers_amount, lambda: GradientBoostingRegressor(n_estimators=20, random_state=0)
)
case("histogram-boosting", gaps, lambda: HistGradientBoostingClassifier(max_iter=20, random_state=0))
case(
    "histogram-boosting-of-counts",
    gaps_amount,
    lambda: HistGradientBoostingRegressor(loss="poisson", max_iter=20),
)
case(
    "histogram-boosting-of-categories",
    categories,
    lambda: HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=20, random_state=0),
)
case("isolation-forest", numbers, lambda: IsolationForest(n_estimators=15, random_state=0))

case(
    "voting",
    numbers,
    lambda: scaled(
        VotingClassifier([("l", LogisticRegression()), ("f", forest())], voting="soft", weights=[2, 1])
    ),
)
case(
    "voting-hard",
    numbers,
    lambda: scaled(VotingClassifier([("l", LogisticRegression()), ("f", forest()), ("n", GaussianNB())])),
)
case(
    "voting-of-numbers",
    numbers_amount,
    lambda: scaled(VotingRegressor([("l", LinearRegression()), ("f", FOREST_OF_NUMBERS)])),
)
case("stacking", numbers, lambda: scaled(StackingClassifier([("l", LinearSVC()), ("f", forest())], cv=3)))
case(
    "stacking-of-numbers",
    numbers_amount,
    lambda: scaled(
        StackingRegressor(
            [("l", Ridge()), ("f", FOREST_OF_NUMBERS)], LinearRegression(), cv=3, passthrough=True
        )
    ),
)
case(
    "calibrated-isotonic", numbers, lambda: scaled(CalibratedClassifierCV(forest(), method="isotonic", cv=3))
)
case("calibrated-sigmoid", numbers_two, lambda: scaled(CalibratedClassifierCV(LinearSVC(), cv=3)))
case("one-against-the-rest", numbers, lambda: scaled(OneVsRestClassifier(LogisticRegression())))
case(
    "several-targets",
    several,
    lambda: scaled(MultiOutputRegressor(GradientBoostingRegressor(n_estimators=10, random_state=0))),
)
case("several-targets-in-a-forest", several, lambda: RandomForestRegressor(15, random_state=0))
case("several-targets-in-a-line", several, lambda: scaled(LinearRegression()))
case("several-classes", several_classes, lambda: scaled(MultiOutputClassifier(LogisticRegression())))
case("several-classes-in-a-forest", several_classes, lambda: forest(max_depth=6))
case("many-labels", many_labels, lambda: scaled(OneVsRestClassifier(LogisticRegression())))
case("many-labels-in-a-forest", many_labels, lambda: forest(max_depth=6))
case(
    "log-of-the-target",
    amounts,
    lambda: TransformedTargetRegressor(prepared(Ridge()), func=np.log1p, inverse_func=np.expm1),
)

case("power", amounts, lambda: prepared(Ridge(), make_pipeline(SimpleImputer(), PowerTransformer())))
case("polynomials", numbers_amount, lambda: make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge()))
case(
    "bins",
    numbers,
    lambda: make_pipeline(
        KBinsDiscretizer(5, quantile_method="averaged_inverted_cdf"), LogisticRegression(max_iter=500)
    ),
)
case(
    "log-of-columns",
    numbers_amount,
    lambda: make_pipeline(FunctionTransformer(np.log1p), MinMaxScaler(), Ridge()),
)
case("components", pixels, lambda: make_pipeline(PCA(10, random_state=0), LogisticRegression(max_iter=500)))
case("best-columns", pixels, lambda: make_pipeline(SelectKBest(k=20), forest()))
case(
    "infrequent-and-dropped",
    grades,
    lambda: prepared(
        LogisticRegression(max_iter=500),
        text=OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=30, drop="first"),
    ),
)
case(
    "ordinal",
    yes_no,
    lambda: prepared(
        forest(max_depth=8),
        text=OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    ),
)
case("closed-domain", yes_no, lambda: prepared(LogisticRegression(max_iter=500), text=OneHotEncoder()))
case(
    "target-encoded",
    yes_no,
    lambda: prepared(LogisticRegression(max_iter=500), text=TargetEncoder(random_state=0)),
)
case(
    "indicators",
    gaps,
    lambda: make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), LogisticRegression()),
)
case(
    "selected-by-type",
    grades,
    lambda: make_pipeline(
        ColumnTransformer(
            [
                (
                    "text",
                    OneHotEncoder(handle_unknown="ignore"),
                    make_column_selector(dtype_exclude=["number", "bool"]),
                )
            ],
            remainder=SimpleImputer(),
        ),
        forest(max_depth=8),
    ),
)

case("single-precision", single, lambda: scaled(LogisticRegression(max_iter=500)))
case("single-precision-of-numbers", single_amount, lambda: scaled(Ridge()))
case("single-precision-forest", single, lambda: make_pipeline(MinMaxScaler(), forest()))
case("five-hundred-columns", wide, lambda: scaled(LogisticRegression()))
case("odd-labels", odd_labels, lambda: scaled(LogisticRegression(max_iter=500)))
case("odd-names", odd_names, lambda: make_pipeline(MaxAbsScaler(), LogisticRegression(max_iter=500)))
case(
    "long-ids",
    long_ids,
    lambda: make_pipeline(
        ColumnTransformer(
            [("id", OneHotEncoder(handle_unknown="ignore"), ["shop"])], remainder="passthrough"
        ),
        LogisticRegression(),
    ),
)
case("nullable", nullable, lambda: make_pipeline(SimpleImputer(), LogisticRegression()))
case("yes-and-no", numbers_two, lambda: scaled(LogisticRegression()))
case("pixels", pixels, lambda: forest(max_depth=8))


# The boosters, which the environment of the tests has; the kit does without.


def _xgboost(kind: str, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        import xgboost

        return getattr(xgboost, kind)(n_estimators=15, max_depth=4, n_jobs=1, **options)

    return make


def _lightgbm(kind: str, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        import lightgbm

        return getattr(lightgbm, kind)(n_estimators=15, num_leaves=12, n_jobs=1, verbose=-1, **options)

    return make


def _catboost(kind: str, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        import catboost

        return getattr(catboost, kind)(
            iterations=15, depth=4, thread_count=1, verbose=False, allow_writing_files=False, **options
        )

    return make


def gaps_of_two(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    X, y = gaps(rows)
    return X, (y == "ja").astype(int)


case("xgboost", gaps_of_two, _xgboost("XGBClassifier"))
case("xgboost-of-three", numbers, _xgboost("XGBClassifier"))
case("xgboost-of-numbers", gaps_amount, _xgboost("XGBRegressor"))
case("xgboost-of-categories", categories, _xgboost("XGBClassifier", enable_categorical=True))
case("xgboost-in-a-pipeline", grades, lambda: prepared(_xgboost("XGBClassifier")()))
case("lightgbm", gaps, _lightgbm("LGBMClassifier"))
case("lightgbm-of-three", numbers, _lightgbm("LGBMClassifier"))
case("lightgbm-of-numbers", gaps_amount, _lightgbm("LGBMRegressor"))
case("lightgbm-of-categories", categories, _lightgbm("LGBMClassifier"))
case("xgboost-of-sparse-zeros", sparse_gaps, lambda: sparse(ZEROS_FILLED, _xgboost("XGBClassifier")()))
case("xgboost-of-scaled-sparse", sparse_numbers, lambda: sparse(MaxAbsScaler(), _xgboost("XGBClassifier")()))
case("lightgbm-of-sparse", sparse_numbers, lambda: sparse(_lightgbm("LGBMClassifier")()))
case("catboost", gaps, _catboost("CatBoostClassifier"))
case("catboost-of-three", numbers, _catboost("CatBoostClassifier"))
case("catboost-of-numbers", gaps_amount, _catboost("CatBoostRegressor"))

CORPUS.update({name: (lambda rows, name=name: example(name)) for name in ("penguins", "digits", "diabetes")})
