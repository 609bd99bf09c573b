"""Diabetes: how far is the disease in a year? A forest behind a scaler, where float32 would not be exact.

python models/diabetes/train.py            # writes var/bundles/diabetes.tenon
python models/diabetes/train.py --push     # and brings it to the server at TENON_URL
"""

import argparse
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import tenon

NAME = "diabetes"


def data() -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, pd.Series]:
    """Patients to train on and patients held out, with the progression after one year."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return train_test_split(X, y, test_size=0.3, random_state=0)


def train() -> tuple[Pipeline, pd.DataFrame, pd.DataFrame]:
    """The fitted pipeline, the frame it was fitted on, and the hold-out rows."""
    X_train, X_hold, y_train, _ = data()
    forest = RandomForestRegressor(n_estimators=100, min_samples_leaf=3, random_state=0)
    return make_pipeline(StandardScaler(), forest).fit(X_train, y_train), X_train, X_hold


def main() -> None:
    """Train, score, export, push."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--out", type=Path, default=Path(f"var/bundles/{NAME}.tenon"))
    options.add_argument("--push", action="store_true", help="push to the server at TENON_URL, and deploy")
    args = options.parse_args()

    pipeline, X_train, X_hold = train()
    *_, y_hold = data()
    print(f"{NAME}: R² = {pipeline.score(X_hold, y_hold):.2f} on {len(X_hold)} hold-out rows")

    bundle = tenon.export(pipeline, X_train, name=NAME, holdout=X_hold, path=args.out)
    print(f"{NAME}: exported to {bundle.path}, every hold-out row as the pipeline says it")

    if args.push:
        version = tenon.push(bundle, deploy=True)
        print(f"{NAME}: {version} is live, {version.parity}")


if __name__ == "__main__":
    main()
