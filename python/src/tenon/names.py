"""Names and references, by the server's grammar, so that a bad one is refused before anything is sent."""

from __future__ import annotations

import re

from tenon.errors import TenonError

_MODEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_REFERENCE = re.compile(
    rf"(?P<model>{_MODEL.pattern})(?:/(?P<version>[1-9][0-9]{{0,17}})|@(?P<alias>[a-z][a-z0-9._-]{{0,62}}))?"
)


def is_model_name(name: str) -> bool:
    """Whether `name` may name a model."""
    return _MODEL.fullmatch(name) is not None


def bad_name(name: object) -> str:
    """The sentence for a name outside the grammar."""
    return (
        f"{name!r} cannot name a model: use 1 to 63 characters of a-z, 0-9, '.', '_' and '-', "
        "beginning with a letter or a digit, such as 'penguins'"
    )


def predict_path(reference: str) -> str:
    """The path that predicts with `iris`, `iris/3` or `iris@champion`; TenonError for anything else."""
    match = _REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
    if match is None:
        raise TenonError(
            f"{reference!r} is not a reference: write 'iris', 'iris/3' for a version or 'iris@champion' for an alias"
        )
    model, version, alias = match["model"], match["version"], match["alias"]
    if version:
        return f"/v1/models/{model}/versions/{version}/predict"
    return f"/v1/models/{model}@{alias}/predict" if alias else f"/v1/models/{model}/predict"
