"""`tenon.export`: a fitted pipeline becomes a bundle, if its graph answers as it does; otherwise nothing is written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from tenon import samples as rows
from tenon.bundlefile import Bundle
from tenon.check import Sample, differences, refuse
from tenon.convert import convert
from tenon.errors import ExportError, NotLowered
from tenon.inputs import Array, Frame, Input, as_frame, describe, feeds, take
from tenon.lowering import Graph, lower
from tenon.lowering.graph import Notes
from tenon.names import bad_name, is_model_name
from tenon.package import package
from tenon.signature import LOWERED, SINGLE, Output, Policy, Signature
from tenon.truth import answers, describe_outputs, task

LISTED = 1000
"""Categories that are listed for information; a domain that refuses others is listed whole."""


def export(
    pipeline: Any, X: Any, *, name: str, holdout: Any = None, path: str | os.PathLike[str] | None = None
) -> Bundle:
    """Exports a fitted scikit-learn pipeline as a bundle, checked against the pipeline itself.

    `X` is the frame it was trained on [N, k]: its dtypes become the signature, its values the profile. The
    check and the golden set use the rows of `holdout`; without it those of `X`, and the bundle says so.
    `path` is `<name>.tenon` unless given. Raises ExportError, before anything is written, with a remedy when
    the pipeline cannot be exported faithfully, and with `.rows` when the graph's answers differ.
    """
    if not isinstance(name, str) or not is_model_name(name):
        raise ExportError(bad_name(name))
    frame = as_frame(X, "X")
    held = frame if holdout is None else _like(as_frame(holdout, "holdout"), frame)
    _check_pipeline(pipeline, frame)
    why = "training" if holdout is None else "hold-out"
    draft = _draft(pipeline, frame, held, why)
    table = differences(
        draft.model, partial(feeds, draft.signature.inputs), draft.signature.outputs, draft.samples
    )
    refuse(table, sum(map(len, draft.samples)), f"the graph of {name!r}")
    return package(
        Path(path) if path is not None else Path(f"{name}.tenon"),
        name=name,
        task=task(pipeline),
        description=_describe(pipeline),
        model=draft.model,
        signature=draft.signature,
        samples=draft.samples,
        training=(frame, draft.training),
        notes=draft.remarks,
    )


@dataclass(frozen=True)
class Draft:
    """An export that has not been checked yet."""

    model: bytes
    signature: Signature
    samples: list[Sample]
    training: Mapping[str, Array]
    remarks: list[str]


def _draft(pipeline: Any, frame: Frame, held: Frame, why: str) -> Draft:
    inputs = describe(frame, held)
    outputs = _outputs(pipeline, frame)
    truth = partial(answers, pipeline, outputs)
    sample = rows.holdout_sample(truth, held, why)
    training = sample.expected if held is frame else rows.holdout_sample(truth, frame, "training").expected
    remarks = [f"Golden rows: {len(held)} {why} rows and rows at thresholds and edges."]
    try:
        graph = lower(pipeline, inputs, outputs)
    except NotLowered as e:
        model, inputs, outputs = convert(pipeline, inputs, outputs, str(e))
        notes = Notes()
        remarks.append(f"Converted by skl2onnx, with its tolerances: {e}.")
    else:
        model, notes = graph.model(), graph.notes
        outputs = tuple(_tolerance(o, graph) for o in outputs)
    extra, answered = rows.edge_samples(truth, inputs, held)
    policies = tuple(_policy(n, i, frame, notes, answered) for n, i in enumerate(inputs))
    allowed = [n for n, p in enumerate(policies) if p.missing]
    made = [
        *extra,
        rows.all_missing(truth, inputs, held, allowed),
        rows.threshold_sample(truth, inputs, held, notes.thresholds),
    ]
    kept = [_servable(s, inputs, policies, sample) for s in made if s is not None]
    everything = [sample, *(s for s in kept if s is not None)]
    return Draft(model, Signature(inputs, outputs, policies), everything, training, remarks)


def _outputs(pipeline: Any, frame: Frame) -> tuple[Output, ...]:
    try:
        return describe_outputs(pipeline, take(frame, slice(0, 8)))
    except ExportError:
        raise
    except Exception as e:
        raise ExportError(f"the pipeline does not answer for its own training rows: {e}") from e


def _tolerance(output: Output, graph: Graph) -> Output:
    if output.kind == "label":
        return output
    return replace(output, tolerance=SINGLE if graph.notes.single or output.type == "float32" else LOWERED)


def _policy(number: int, column: Input, frame: Frame, notes: Notes, answered: set[tuple[str, int]]) -> Policy:
    """What a request may hold: missing and unseen values only where the pipeline answered for them."""
    missing = ("missing", number) in answered
    known = notes.domains.get(number, [])
    refuses = any(refused for _, refused in known) or (column.is_text and ("unseen", number) not in answered)
    lists = [categories for categories, refused in known if refused] or [
        categories for categories, _ in known
    ]
    if not lists and refuses:
        lists = [_texts(column, frame)]
    if not lists:
        return Policy(missing)
    domain = tuple(c for c in lists[0] if all(c in other for other in lists[1:]))
    if not refuses and len(domain) > LISTED:
        return Policy(missing)
    return Policy(missing, tuple(_typed(column, c) for c in domain), refuses)


def _texts(column: Input, frame: Frame) -> tuple[Any, ...]:
    if isinstance(frame, np.ndarray):
        raise ExportError(
            "the pipeline refuses unseen text in an array, which cannot be declared: fit on a DataFrame"
        )
    return tuple(sorted(frame[column.key].dropna().astype(str).unique()))


def _typed(column: Input, category: Any) -> Any:
    """A category in the input's type: encoders keep nullable integers and booleans as floats."""
    if column.type == "bool":
        return bool(category)
    return int(category) if column.is_integer else category


def _servable(
    sample: Sample, inputs: Sequence[Input], policies: Sequence[Policy], held: Sample
) -> Sample | None:
    """The rows of a made-up sample that a server will accept and that do not stretch the comparison's scale."""
    kept = rows.within_scale(sample, held)
    if kept is None or isinstance(kept.frame, np.ndarray):
        return kept
    good = np.ones(len(kept), dtype=bool)
    for column, policy in zip(inputs, policies, strict=True):
        values = pd.Series(kept.frame[column.key])
        if not policy.missing:
            good &= values.notna().to_numpy()
        if policy.refuse_unknown and policy.domain is not None:
            good &= (values.isin(list(policy.domain)) | values.isna()).to_numpy()
    return rows.choose(kept, np.flatnonzero(good))


def _like(held: Frame, frame: Frame) -> Frame:
    """The hold-out frame with the training frame's columns, order and dtypes; ExportError if it has others."""
    if isinstance(frame, np.ndarray) or isinstance(held, np.ndarray):
        if type(held) is not type(frame) or held.shape[1] != frame.shape[1] or held.dtype != frame.dtype:
            raise ExportError(
                "holdout is not of X's kind, width and dtype: pass rows split off the same frame"
            )
        return held
    other = set(held.columns) ^ set(frame.columns)
    if other:
        raise ExportError(
            f"holdout and X differ in the column {min(map(str, other))!r}: pass rows split off the same frame"
        )
    for column in frame.columns:
        if held[column].dtype != frame[column].dtype:
            raise ExportError(
                f"column {str(column)!r} is {frame[column].dtype} in X and {held[column].dtype} in holdout: "
                "give it one dtype"
            )
    return held[list(frame.columns)]


def _check_pipeline(pipeline: Any, frame: Frame) -> None:
    if isinstance(pipeline, type) or not hasattr(pipeline, "predict"):
        raise ExportError(f"{pipeline!r} does not predict: pass a fitted scikit-learn pipeline")
    try:
        check_is_fitted(pipeline)
    except NotFittedError as e:
        raise ExportError("the pipeline is not fitted: call pipeline.fit(X, y) before tenon.export") from e
    except TypeError as e:
        raise ExportError(f"{type(pipeline).__name__} is no scikit-learn estimator: {_BRING}") from e
    expected = getattr(pipeline, "feature_names_in_", None)
    if expected is not None:
        _check_columns([str(c) for c in expected], frame)
    count = getattr(pipeline, "n_features_in_", frame.shape[1])
    if count != frame.shape[1]:
        raise ExportError(
            f"X has {frame.shape[1]} columns, the pipeline was fitted on {count}: pass the training frame"
        )


_BRING = "bring graph and truth yourself with tenon.bundle(model, X, expected=answers)"


def _check_columns(expected: list[str], frame: Frame) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise ExportError("the pipeline was fitted on a DataFrame, X is an array: pass the training frame")
    got = [str(c) for c in frame.columns]
    if got == expected:
        return
    lacking, extra = [c for c in expected if c not in got], [c for c in got if c not in expected]
    said = [f"lacks {lacking[0]!r}"] if lacking else []
    said += [f"has {extra[0]!r} besides"] if extra else []
    raise ExportError(
        f"X {' and '.join(said) or 'has another order of columns'} than at fit: pass the training frame"
    )


def _describe(pipeline: Any) -> str:
    steps = [step for _, step in getattr(pipeline, "steps", [("", pipeline)])]
    return " → ".join(type(s).__name__ for s in steps if s is not None and not isinstance(s, str))
