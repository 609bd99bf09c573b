"""`tenon.export`: a fitted pipeline becomes a bundle, if its graph answers as it does; otherwise nothing is written."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tenon.bundlefile import Bundle
from tenon.draft import description, like
from tenon.errors import ExportError, TenonWarning
from tenon.inputs import as_frame
from tenon.lint import examine
from tenon.names import bad_name, is_model_name
from tenon.networks import export_network, is_network
from tenon.package import package
from tenon.truth import task as task_of

SAID = 5
"""Warnings that are repeated; `tenon.check` has all."""


def export(
    pipeline: Any,
    X: Any,
    *,
    name: str,
    holdout: Any = None,
    path: str | os.PathLike[str] | None = None,
    task: str | None = None,
    classes: Sequence[Any] | None = None,
    targets: Sequence[str] | None = None,
) -> Bundle:
    """Exports a fitted scikit-learn pipeline as a bundle, checked against the pipeline itself.

    `X` is the frame it was trained on [N, k]: its dtypes become the signature, its values the profile. The check and
    the golden set use the rows of `holdout`; without it those of `X`, and the bundle says so. `path` is
    `<name>.tenon` unless given. `targets` names the targets of a pipeline that has several: the outputs of a
    regression are called so, those of labels `label_<name>` and so on; else they are numbered. A torch module in eval
    mode or a Keras model (torch backend) takes the columns of `X` as one float32 matrix and answers `prediction`, or
    with `task="classification"` and its `classes` `label` and `probabilities`; its own forward pass is the truth.
    Raises ExportError, before anything is written, with a remedy for all that `tenon.check` refuses, and with `.rows`
    and `.causes` when the graph's answers differ. Its warnings are TenonWarnings.
    """
    if not isinstance(name, str) or not is_model_name(name):
        raise ExportError(bad_name(name))
    target = Path(path) if path is not None else Path(f"{name}.tenon")
    if is_network(pipeline):
        if targets is not None:
            raise ExportError(
                "targets= is for scikit-learn: a network's numbers are one output, `prediction`"
            )
        frame = as_frame(X, "X")
        held = None if holdout is None else like(as_frame(holdout, "holdout"), frame)
        return export_network(pipeline, frame, held, name, target, task, classes)
    if task is not None or classes is not None:
        raise ExportError("task= and classes= are for networks: a fitted scikit-learn pipeline knows its own")
    check, draft = examine(pipeline, X, holdout, None, targets, what=f"the graph of {name!r}")
    check.raise_refused()
    assert draft is not None
    if check.warnings:
        more = len(check.warnings) - SAID
        said = [str(f) for f in check.warnings[:SAID]] + (
            [f"and {more} more: tenon.check lists them"] * (more > 0)
        )
        warnings.warn("\n".join(said), TenonWarning, stacklevel=2)
    return package(
        target,
        name=name,
        task=task_of(pipeline),
        description=description(pipeline),
        model=draft.model,
        signature=draft.signature,
        samples=draft.samples,
        training=(draft.frame, draft.training),
        notes=draft.remarks,
    )
