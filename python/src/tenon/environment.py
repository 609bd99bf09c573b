"""What an export was made with: recorded in the bundle, because parity holds for these versions."""

from __future__ import annotations

import platform
import sys
import unicodedata
from importlib import metadata
from typing import Any

from tenon.lowering.graph import IR, ML_OPSET, OPSET

PACKAGES = (
    "tenon-kit",
    "onnxruntime",
    "onnx",
    "skl2onnx",
    "scikit-learn",
    "numpy",
    "scipy",
    "pandas",
    "protobuf",
    "torch",
    "keras",
    "xgboost-cpu",
    "xgboost",
    "lightgbm",
    "catboost",
)


def kit() -> str:
    """The kit's name and version, as manifests carry it."""
    return f"tenon-kit {version()}"


def version() -> str:
    """The kit's version, as the installed distribution says it."""
    return _version("tenon-kit") or "unknown"


def environment() -> dict[str, Any]:
    """The content of environment.json; it names no user, host or path."""
    packages = {name: _version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "packages": {name: version for name, version in packages.items() if version},
        "opsets": {"ai.onnx": OPSET, "ai.onnx.ml": ML_OPSET},
        "ir": IR,
        "unicode": unicodedata.unidata_version,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
