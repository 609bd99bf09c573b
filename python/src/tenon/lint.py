"""The linter behind `tenon.check` and `tenon.export`: everything that is wrong with an export, all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from tenon import golden
from tenon.checked import Check, Column, Step
from tenon.compare import difference, differences
from tenon.diagnose import causes
from tenon.draft import Draft, draft, like
from tenon.errors import ExportError, Finding
from tenon.inputs import Frame, Input, as_frame, column_names, examine_columns, feeds
from tenon.lowering.boosters import refuse_native
from tenon.lowering.refused import refusal
from tenon.lowering.trace import Outcome, steps_of, trace
from tenon.suspicions import suspicions
from tenon.unread import unread

T = TypeVar("T")

BRING = "bring graph and truth yourself with tenon.bundle(model, X, expected=answers)"
REPLACE = f"replace that step by one that the kit lowers, or {BRING}"


def check(
    pipeline: Any, X: Any, holdout: Any = None, y: Any = None, targets: Sequence[str] | None = None
) -> Check:
    """Says everything that `tenon.export` would say, without writing a bundle.

    `X` is the frame that the pipeline was trained on [N, k], `holdout` rows that it has not seen, `y` [N] the target
    of X, with which columns that give it away are found, `targets` as of an export. All findings are collected; a bad
    pipeline is a finding, never an exception. Print the result, or read `.ok`, `.findings`, `.rows` and `.to_json()`.
    """
    try:
        return examine(pipeline, X, holdout, y, targets)[0]
    except Exception as e:
        said = f"the examination failed on this pipeline ({type(e).__name__}: {e})"
        return Check(findings=[Finding("failed", "", said, "tell us, it should have been a finding")])


def examine(
    pipeline: Any,
    X: Any,
    holdout: Any = None,
    y: Any = None,
    targets: Sequence[str] | None = None,
    what: str = "the graph",
) -> tuple[Check, Draft | None]:
    """The check, and the draft to write if it is ok."""
    linter = _Linter(pipeline)
    made = linter.run(X, holdout, y, targets, what)
    return linter.check, made if linter.check.ok else None


class _Linter:
    """One examination. Each part adds what it finds; a part that needs an earlier one waits until that is clean."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline, self.check = pipeline, Check()

    def run(self, X: Any, holdout: Any, y: Any, targets: Sequence[str] | None, what: str) -> Draft | None:
        frame = self.attempt("frame", "X", lambda: as_frame(X, "X"))
        held = frame if holdout is None else self.holdout(holdout, frame)
        found = pipeline_findings(self.pipeline, frame)
        self.check.findings += found
        if frame is None:
            return None
        unused = frozenset() if found else unread(self.pipeline, frame)
        inputs = self.columns(frame, frame if held is None else held, unused)
        if any(f.code in ("pipeline", "unfitted") for f in found):
            return None
        outcomes = trace(self.pipeline, inputs, column_names(frame))
        self.banned()
        made = None
        if held is not None and self.check.ok:
            why = "training" if holdout is None else "hold-out"
            making = partial(draft, self.pipeline, tuple(inputs), frame, held, why, targets)
            made = self.draft(making, outcomes)
        else:
            self.name(outcomes)
        self.steps(outcomes, made)
        if made is not None:
            self.ranges(made)
            self.compare(made, what)
            self.check.findings += suspicions(made.signature, frame, held, made.training, y)
        return made

    def attempt(self, code: str, where: str, made: Callable[[], T]) -> T | None:
        """What `made` returns; None, and findings, if it raises an ExportError."""
        try:
            return made()
        except ExportError as e:
            self.check.findings += e.findings or [Finding.of(e, code, where)]
            return None

    def holdout(self, holdout: Any, frame: Frame | None) -> Frame | None:
        held = self.attempt("frame", "holdout", lambda: as_frame(holdout, "holdout"))
        if held is None or frame is None:
            return held
        return self.attempt("holdout", "holdout", lambda: like(held, frame))

    def columns(self, frame: Frame, held: Frame, unused: frozenset[str]) -> list[Input]:
        """All logical inputs; one that is refused has a stand-in, so that the steps can be followed."""
        array = isinstance(frame, np.ndarray)
        keys = ["x"] if isinstance(frame, np.ndarray) else list(frame.columns)
        inputs = []
        for number, (key, one) in enumerate(zip(keys, examine_columns(frame, held), strict=True)):
            dtype = frame.dtype if array else frame[key].dtype
            if str(key) in unused:
                said = "the pipeline never reads it: requests may hold it or not"
                self.check.columns.append(Column(str(key), str(dtype), "unused", "", said))
                continue
            if isinstance(one, ExportError):
                found = Finding.of(one, "column", str(key))
                self.check.findings.append(found)
                self.check.columns.append(Column(str(key), str(dtype), "refused", "", found.detail))
                one = _stand_in(number, key, dtype, frame.shape[1] if array else None)
            else:
                self.check.columns.append(_column(one, dtype))
            inputs.append(one)
        return inputs

    def banned(self) -> None:
        """Steps that can never be served, which the comparison could let pass."""
        for where, step in steps_of(self.pipeline):
            said = refusal(step)
            if said is not None:
                self.check.findings.append(Finding.of(ExportError(said), "step", where))

    def draft(self, made: Callable[[], Draft], outcomes: dict[int, Outcome]) -> Draft | None:
        try:
            return made()
        except ExportError as e:
            if not e.rows.empty:
                self.check.rows = e.rows
            if e.findings:
                self.check.findings += e.findings
            elif not self.name(outcomes, e.converter):
                self.check.findings.append(Finding.of(e, "step"))
        return None

    def ranges(self, made: Draft) -> None:
        """What the columns are limited to, as the trial of the pipeline found."""
        pairs = zip(made.signature.inputs, made.signature.policies, strict=True)
        found = {i.name: p.within() for i, p in pairs}
        self.check.columns = [replace(c, range=found.get(c.name, "")) for c in self.check.columns]

    def name(self, outcomes: dict[int, Outcome], converter: str = "") -> bool:
        """A finding for each step that cannot be lowered; `converter` says why it could not be converted."""
        before = len(self.check.findings)
        for where, step in steps_of(self.pipeline):
            error = outcomes.get(id(step), Outcome()).error
            if error is not None and isinstance(error, ExportError):
                self.check.findings.append(Finding.of(error, "step", where))
            elif error is not None and converter:
                detail = f"{error}, and the converter does not cover it either ({converter})"
                self.check.findings.append(Finding("step", where, detail, REPLACE))
        return len(self.check.findings) > before

    def steps(self, outcomes: dict[int, Outcome], made: Draft | None) -> None:
        refused = {f.where: f.detail for f in self.check.findings if f.code == "step"}
        for where, step in steps_of(self.pipeline):
            outcome = outcomes.get(id(step))
            said = "" if outcome is None or outcome.error is None else str(outcome.error)
            if where in refused:
                status, said = "refused", refused[where]
            elif made is not None:
                status = "lowered" if made.converted is None else "converted"
            elif outcome is None:
                status, said = "unknown", "a finding before it stopped the examination"
            else:
                status = "not lowered" if outcome.error else "lowered"
            self.check.steps.append(Step(where, type(step).__name__, status, said))

    def compare(self, made: Draft, what: str) -> None:
        check = self.check
        check.compared = sum(map(len, made.samples))
        inputs = made.signature.inputs
        check.golden = golden.size(golden.select(made.samples, inputs, made.signature.outputs), inputs)
        feed, outputs = partial(feeds, made.signature.inputs), made.signature.outputs
        check.rows = differences(made.model, feed, outputs, made.samples, check.distances)
        if not check.rows.empty:
            check.causes = causes(made.model, feed, made.signature, made.samples)
            found = difference(check.rows, check.compared, what, check.causes)
            if made.converted is not None:
                found = replace(found, detail=f"{made.converted}. Converted by skl2onnx, {found.detail}")
            check.findings.append(found)


def pipeline_findings(pipeline: Any, frame: Frame | None) -> list[Finding]:
    """What is wrong with the pipeline as such, and between it and the frame (None where that is none)."""
    if isinstance(pipeline, type) or not hasattr(pipeline, "predict"):
        return [_does_not_predict(pipeline)]
    try:
        refuse_native(pipeline)
    except ExportError as e:
        return [Finding.of(e, "pipeline")]
    try:
        check_is_fitted(pipeline)
    except NotFittedError:
        said = "the pipeline is not fitted"
        return [Finding("unfitted", "", said, "call pipeline.fit(X, y) before tenon.export")]
    except TypeError:
        return [Finding("pipeline", "", f"{type(pipeline).__name__} is no scikit-learn estimator", BRING)]
    found = [] if frame is None else _columns_of_fit(pipeline, frame)
    classes = getattr(pipeline, "classes_", None)
    if isinstance(classes, np.ndarray) and len(classes) == 1:
        said = f"the pipeline knows the one class {classes.tolist()[0]!r}, so it answers nothing else"
        found.append(Finding("one-class", "", said, "fit it on rows of every class"))
    return found


def _does_not_predict(pipeline: Any) -> Finding:
    last = getattr(pipeline, "steps", [("", pipeline)])[-1][1]
    if hasattr(last, "transform") and not isinstance(pipeline, type):
        detail = f"the last step is {type(last).__name__}, which transforms and does not predict"
        return Finding("pipeline", "", detail, "put a classifier or a regressor behind it and fit again")
    said = repr(pipeline)
    detail = f"{said if len(said) <= 120 else said[:119] + '…'} does not predict"
    return Finding("pipeline", "", detail, f"pass a fitted scikit-learn pipeline, or {BRING}")


def _columns_of_fit(pipeline: Any, frame: Frame) -> list[Finding]:
    """Every column that the frame lacks or has besides those of the fit, or that they are in another order."""
    remedy = "pass the training frame"
    expected = getattr(pipeline, "feature_names_in_", None)
    if expected is not None:
        if not isinstance(frame, pd.DataFrame):
            said = "the pipeline was fitted on a DataFrame, X is an array"
            return [Finding("columns-of-fit", "X", said, remedy)]
        names, got = [str(c) for c in expected], [str(c) for c in frame.columns]
        found = [
            Finding("columns-of-fit", c, f"X lacks {c!r}, which the pipeline was fitted on", remedy)
            for c in names
            if c not in set(got)
        ]
        found += [
            Finding("columns-of-fit", c, f"X has {c!r} besides the columns of the fit", remedy)
            for c in got
            if c not in set(names)
        ]
        # LightGBM keeps names with underscores for blanks.
        if names == [c.replace(" ", "_") for c in got]:
            return []
        if not found and got != names:
            found.append(Finding("columns-of-fit", "X", "X has another order of columns than at fit", remedy))
        return found
    # CatBoost sets n_features_in_ once only, and not at all in a model that was loaded; its names it keeps.
    count = len(getattr(pipeline, "feature_names_", ())) or getattr(
        pipeline, "n_features_in_", frame.shape[1]
    )
    if count == frame.shape[1]:
        return []
    said = f"X has {frame.shape[1]} columns, the pipeline was fitted on {count}"
    return [Finding("columns-of-fit", "X", said, remedy)]


def _column(column: Input, dtype: Any) -> Column:
    """Whether a column's values travel as they are."""
    kept = isinstance(dtype, np.dtype | pd.StringDtype)
    shape = "" if column.width is None else f" × {column.width}"
    said = "" if kept else f"travels as {column.type}" + (", missing is null" if column.absent else "")
    return Column(column.name, str(dtype), "kept" if kept else "converted", column.type + shape, said)


def _stand_in(number: int, key: Any, dtype: Any, width: int | None) -> Input:
    text = isinstance(dtype, pd.CategoricalDtype | pd.StringDtype) or dtype == np.dtype(object)
    kind = "string" if text else "float64"
    return Input(str(key), kind, f"in_{number}", kind, "nan", None if width is None else (width,), key=key)
