"""Digits: which digit is it? 64 pixels as one array, so one input `x` with 64 elements.

python models/digits/train.py            # writes var/bundles/digits.tenon
python models/digits/train.py --push     # and brings it to the server at TENON_URL
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler

import tenon

NAME = "digits"


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images to train on and images held out, as rows of 64 pixels from 0 to 16, with their digits."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)


def train() -> tuple[Pipeline, np.ndarray, np.ndarray]:
    """The fitted pipeline, the array it was fitted on, and the hold-out rows."""
    X_train, X_hold, y_train, _ = data()
    pipeline = make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=1000))
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
