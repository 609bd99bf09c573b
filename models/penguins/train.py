"""Penguins: which species is it? Mixed columns, and values missing in numbers and in text.

python models/penguins/train.py            # writes var/bundles/penguins.tenon
python models/penguins/train.py --push     # and brings it to the server at TENON_URL
"""

import argparse
from pathlib import Path

import pandas as pd
from palmerpenguins import load_penguins
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import tenon

NAME = "penguins"
NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
CATEGORIES = ["island", "sex"]


def data() -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, pd.Series]:
    """Rows to train on and rows held out, with their species."""
    penguins = load_penguins()
    X, y = penguins[NUMBERS + CATEGORIES], penguins["species"]
    return train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)


def train() -> tuple[Pipeline, pd.DataFrame, pd.DataFrame]:
    """The fitted pipeline, the frame it was fitted on, and the hold-out rows."""
    X_train, X_hold, y_train, _ = data()
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    categories = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    columns = make_column_transformer((numbers, NUMBERS), (categories, CATEGORIES))
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=1000))
    return pipeline.fit(X_train, y_train), X_train, X_hold


def main() -> None:
    """Train, score, export, push."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--out", type=Path, default=Path(f"var/bundles/{NAME}.tenon"))
    options.add_argument("--push", action="store_true", help="push to the server at TENON_URL, and deploy")
    args = options.parse_args()

    pipeline, X_train, X_hold = train()
    *_, y_hold = data()
    print(f"{NAME}: {pipeline.score(X_hold, y_hold):.1%} of {len(X_hold)} hold-out rows are right")

    bundle = tenon.export(pipeline, X_train, name=NAME, holdout=X_hold, path=args.out)
    print(f"{NAME}: exported to {bundle.path}, every hold-out row as the pipeline says it")

    if args.push:
        version = tenon.push(bundle, deploy=True)
        print(f"{NAME}: {version} is live, {version.parity}")


if __name__ == "__main__":
    main()
