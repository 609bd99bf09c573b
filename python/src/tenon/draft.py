"""The draft of an export: the graph, the signature, and the rows with the pipeline's answers, not compared yet."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from tenon import golden
from tenon import samples as rows
from tenon.bounds import Limits, Served, limits
from tenon.compare import Sample, answers_apart
from tenon.convert import convert
from tenon.coverage import Reach
from tenon.errors import ExportError, Finding, NotLowered
from tenon.inputs import Array, Frame, Input, column_names, feeds, take
from tenon.lowering import Graph, lower
from tenon.lowering.graph import Notes
from tenon.samples import Truth, no_answer
from tenon.signature import LOWERED, SINGLE, Output, Policy, Signature
from tenon.targets import named
from tenon.truth import answers, describe_outputs, row_names

RANDOM_ROWS = 500
"""Rows that are predicted twice, to find what is random."""
LISTED = 1000
"""Categories that are listed for information; a domain that refuses others is listed whole."""
NAMED = 8
"""Inputs that one remark names."""
FAR = 1e80
"""A range that ends farther out, where sums begin to overflow, is not worth a remark."""


@dataclass(frozen=True)
class Draft:
    """An export that has not been checked yet."""

    frame: Frame
    """The training frame."""
    model: bytes
    signature: Signature
    samples: list[Sample]
    training: Mapping[str, Array]
    remarks: list[str]
    converted: str | None = None
    """Why a converter was asked, if one was."""


def draft(
    pipeline: Any,
    inputs: tuple[Input, ...],
    frame: Frame,
    held: Frame,
    why: str,
    targets: Sequence[str] | None = None,
) -> Draft:
    """The draft of an export; ExportError where the pipeline does not answer or no graph can be made.

    Columns of the frame that are not among the inputs are those that the pipeline never reads.
    """
    outputs = _outputs(pipeline, frame, targets)
    truth = partial(answers, pipeline, outputs)
    refuse_random(truth, outputs, held, why)
    sample = rows.holdout_sample(truth, held, why)
    training = sample.expected if held is frame else rows.holdout_sample(truth, frame, "training").expected
    remarks = [f"Golden rows: {len(held)} {why} rows and rows at thresholds and edges."]
    names = column_names(frame)
    unused = tuple(n for n in names if n not in {i.name for i in inputs})
    if unused:
        remarks.append(f"Requests may leave out what the pipeline never reads: {', '.join(unused)}.")
    converted = None
    try:
        graph, inputs = _lowered(pipeline, inputs, outputs, names)
    except NotLowered as e:
        model, inputs, outputs = convert(pipeline, inputs, outputs, str(e), names)
        notes, converted = Notes(), str(e)
        remarks.append(f"Converted by skl2onnx, with its tolerances: {e}.")
    else:
        model, notes = graph.model(), graph.notes
        outputs = tuple(_tolerance(o, graph) for o in outputs)
    served = Served(model, inputs, outputs, sample)
    ranges = limits(truth, served, _finite(outputs, [sample.expected, training]), inputs, [frame, held])
    remarks += _parted(inputs, ranges)
    extra, answered = rows.edge_samples(truth, inputs, held)
    policies = tuple(
        _policy(n, i, frame, notes, answered, ranges.get(n, Limits())) for n, i in enumerate(inputs)
    )
    allowed = [n for n, p in enumerate(policies) if p.missing]
    made = [
        *extra,
        rows.all_missing(truth, inputs, held, allowed),
        rows.threshold_sample(truth, inputs, held, notes.thresholds),
    ]
    kept = [servable(s, inputs, policies, sample) for s in made if s is not None]
    everything = [sample, *(s for s in kept if s is not None)]
    finite = _finite(outputs, [training, *(s.expected for s in everything)])
    outputs = tuple(replace(o, finite=o.name in finite) for o in outputs)
    ends = rows.range_sample(truth, inputs, held, _ends(policies))
    ends = None if ends is None else servable(rows.with_numbers(ends, finite), inputs, policies, sample)
    everything += [] if ends is None else [ends]
    signature = Signature(inputs, outputs, policies, unused=unused)
    reach = Reach(model, signature, frame, partial(feeds, inputs))
    more = reach.more(golden.select(everything, inputs, outputs), training)
    everything += [] if more is None else [more]
    return Draft(frame, model, signature, everything, training, remarks, converted)


def _lowered(
    pipeline: Any, inputs: tuple[Input, ...], outputs: Sequence[Output], names: Sequence[str]
) -> tuple[Graph, tuple[Input, ...]]:
    """The graph, and the inputs that it takes: integers as such where the pipeline computes with them as such."""
    graph = lower(pipeline, inputs, outputs, names)
    whole = graph.notes.whole
    if all(inputs[n].elem == inputs[n].type for n in whole):
        return graph, inputs
    inputs = tuple(replace(i, elem=i.type) if n in whole else i for n, i in enumerate(inputs))
    return lower(pipeline, inputs, outputs, names), inputs


def _finite(outputs: Sequence[Output], answers: Sequence[Mapping[str, Array]]) -> list[str]:
    """The outputs of numbers that are neither NaN nor infinite in any of the pipeline's answers."""
    names = [o.name for o in outputs if o.kind != "label" and o.type.startswith("float")]
    return [n for n in names if all(np.isfinite(a[n]).all() for a in answers)]


def _ends(policies: Sequence[Policy]) -> list[tuple[int, Any]]:
    """Ends of ranges with the input's number, spread over the inputs: no more than travel in a golden set."""
    ends = [(n, e) for n, p in enumerate(policies) for e in (p.minimum, p.maximum) if e is not None]
    spread = np.unique(np.linspace(0, len(ends) - 1, min(len(ends), golden.EDGE_ROWS)).astype(int))
    return [ends[i] for i in spread]


def _parted(inputs: Sequence[Input], ranges: Mapping[int, Limits]) -> list[str]:
    """A sentence about the inputs whose range ends where the graph's answers do, and not the pipeline's."""
    parted = [n for n, r in sorted(ranges.items()) if r.parted and min(map(abs, r.ends())) < FAR]
    names = [f"`{inputs[n].name}`" for n in parted]
    if not names:
        return []
    said = ", ".join(names[:NAMED]) + (" and others" if len(names) > NAMED else "")
    return [f"Refused beyond their range, where the graph would answer otherwise than the pipeline: {said}."]


def _outputs(pipeline: Any, frame: Frame, targets: Sequence[str] | None) -> tuple[Output, ...]:
    try:
        return named(describe_outputs(pipeline, take(frame, slice(0, 8))), targets)
    except ExportError as e:
        raise ExportError(str(e), findings=[Finding.of(e, "outputs")]) from e
    except Exception as e:
        raise no_answer("training", e) from e


def _tolerance(output: Output, graph: Graph) -> Output:
    if output.kind == "label":
        return output
    return replace(output, tolerance=SINGLE if graph.notes.single or output.type == "float32" else LOWERED)


def _policy(
    number: int, column: Input, frame: Frame, notes: Notes, answered: set[tuple[str, int]], ends: Limits
) -> Policy:
    """What a request may hold: missing and unseen values and numbers only where the pipeline answered for them."""
    missing = ("missing", number) in answered
    known = notes.domains.get(number, [])
    refuses = any(refused for _, refused in known) or (column.is_text and ("unseen", number) not in answered)
    lists = [categories for categories, refused in known if refused] or [
        categories for categories, _ in known
    ]
    if not lists and refuses:
        lists = [_texts(column, frame)]
    if not lists:
        return Policy(missing, minimum=ends.minimum, maximum=ends.maximum)
    domain = tuple(c for c in lists[0] if all(c in other for other in lists[1:]))
    if not refuses and len(domain) > LISTED:
        return Policy(missing, minimum=ends.minimum, maximum=ends.maximum)
    return Policy(missing, tuple(_typed(column, c) for c in domain), refuses, ends.minimum, ends.maximum)


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


def servable(
    sample: Sample, inputs: Sequence[Input], policies: Sequence[Policy], held: Sample
) -> Sample | None:
    """The rows of a made-up sample that a server will accept and whose answers are of the data's size."""
    kept = rows.within_scale(sample, held)
    if kept is None:
        return None
    good = np.ones(len(kept), dtype=bool)
    for column, policy in zip(inputs, policies, strict=True):
        values = kept.frame if isinstance(kept.frame, np.ndarray) else pd.Series(kept.frame[column.key])
        if isinstance(values, pd.Series):
            if not policy.missing:
                good &= values.notna().to_numpy()
            if policy.refuse_unknown and policy.domain is not None:
                good &= (values.isin(list(policy.domain)) | values.isna()).to_numpy()
        for end, beyond in ((policy.minimum, operator.lt), (policy.maximum, operator.gt)):
            if end is not None:
                outside = np.asarray(beyond(values, end))
                if outside.dtype != bool:  # of nullable columns, with NA in it
                    outside = np.where(pd.isna(outside), False, outside).astype(bool)
                good &= ~outside.reshape(len(kept), -1).any(axis=1)
    return rows.choose(kept, np.flatnonzero(good))


def like(held: Frame, frame: Frame) -> Frame:
    """The hold-out frame with the training frame's columns, order and dtypes; ExportError if it has others."""
    if isinstance(frame, np.ndarray) or isinstance(held, np.ndarray):
        if type(held) is not type(frame) or held.shape[1] != frame.shape[1] or held.dtype != frame.dtype:
            raise ExportError(
                "holdout is not of X's kind, width and dtype: pass rows split off the same frame"
            )
        return held
    found = [
        Finding(
            "holdout",
            str(c),
            f"holdout and X differ in the column {str(c)!r}",
            "pass rows split off the same frame",
        )
        for c in sorted(set(held.columns) ^ set(frame.columns), key=str)
    ]
    found += [
        Finding(
            "holdout",
            str(c),
            f"column {str(c)!r} is {frame[c].dtype} in X and {held[c].dtype} in holdout",
            "give it one dtype",
        )
        for c in frame.columns
        if c in held.columns and held[c].dtype != frame[c].dtype
    ]
    if found:
        raise ExportError("\n".join(map(str, found)), findings=found)
    return held[list(frame.columns)]


def refuse_random(truth: Truth, outputs: Sequence[Output], held: Frame, why: str) -> None:
    """ExportError with the rows, if two predictions of the same rows differ."""
    frame = take(held, slice(0, RANDOM_ROWS))
    try:
        first, second = truth(frame), truth(frame)
    except Exception as e:
        raise no_answer(why, e) from e
    # As far apart as sums in another order are: forests add up in several threads.
    near = [replace(o, tolerance=None if o.kind == "label" else LOWERED) for o in outputs]
    table = answers_apart(near, Sample(why, frame, row_names(frame), first), second)
    if table.empty:
        return
    apart = set(table["row"])
    first_row = next(name for name in row_names(frame) if name in apart)
    found = Finding(
        "random",
        "",
        f"the pipeline gives other answers when it is asked again: {len(apart)} of {len(frame)} rows "
        f"differ, the first is row {first_row!r}",
        "take out what is random at predict, or give it a fixed random_state that transform uses too",
    )
    raise ExportError(str(found), rows=table, findings=[found])


def description(pipeline: Any) -> str:
    steps = [step for _, step in getattr(pipeline, "steps", [("", pipeline)])]
    return " → ".join(type(s).__name__ for s in steps if s is not None and not isinstance(s, str))
