"""Makes the bundles of networks beside it. It needs torch and Keras: `make test-torch` has them in var/venv-torch.

    KERAS_BACKEND=torch var/venv-torch/bin/python testdata/bundles/networks.py

The bundles are replayed by a server in CI, which has neither.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_iris

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras
import torch

import tenon


def mlp() -> tuple[Any, pd.DataFrame, list[str]]:
    """A classifier of irises that returns scores, trained for a moment."""
    X, y = load_iris(return_X_y=True, as_frame=True)
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.BatchNorm1d(4),
        torch.nn.Linear(4, 16),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.1),
        torch.nn.Linear(16, 3),
    )
    inputs, target = torch.tensor(X.to_numpy(), dtype=torch.float32), torch.tensor(y.to_numpy())
    optimizer = torch.optim.Adam(module.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(inputs), target).backward()
        optimizer.step()
    return module.eval(), X, ["setosa", "versicolor", "virginica"]


def regressor() -> tuple[Any, pd.DataFrame]:
    """A Keras model of one number, with normalisation, trained for a moment."""
    frame, _ = load_breast_cancer(return_X_y=True, as_frame=True)
    X, y = frame.iloc[:300, :6], frame.iloc[:300, 6]
    keras.utils.set_random_seed(0)
    normal = keras.layers.Normalization()
    normal.adapt(X.to_numpy(np.float32))
    model = keras.Sequential(
        [
            keras.Input((6,)),
            normal,
            keras.layers.Dense(16, activation="gelu"),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    model.fit(X.to_numpy(np.float32), y.to_numpy(np.float32), epochs=5, verbose=0)
    return model, X


def make(folder: Path) -> list[tenon.Bundle]:
    """Both bundles, small enough to be committed."""
    module, X, classes = mlp()
    first = tenon.export(
        module, X[::2], holdout=X[1::2], name="torch-iris", path=folder / "torch-iris.tenon",
        task="classification", classes=classes,
    )  # fmt: skip
    model, X = regressor()
    second = tenon.export(
        model, X[::2], holdout=X[1::2], name="keras-cells", path=folder / "keras-cells.tenon"
    )
    return [first, second]


if __name__ == "__main__":
    for bundle in make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent):
        print(f"{bundle.path}: {bundle.path.stat().st_size} bytes")
