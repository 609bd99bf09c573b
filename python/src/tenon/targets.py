"""Names for several targets: scikit-learn keeps none, so `tenon.export(…, targets=[…])` takes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tenon.errors import ExportError
from tenon.inputs import LONGEST_NAME, is_plain_name
from tenon.signature import Output

RESERVED = ("label", "probabilities", "probability", "cluster", "outlier")
"""How the outputs of other kinds begin, by which clients read them."""
_PREFIX = len("probabilities_")


def named(outputs: Sequence[Output], targets: Sequence[str] | None) -> tuple[Output, ...]:
    """The outputs with the targets' names in place of their numbers; ExportError for names that do not do.

    `prediction_0` is then the name itself, `label_0` is `label_<name>`, and so are its probabilities.
    """
    if targets is None:
        return tuple(outputs)
    if isinstance(targets, str) or not all(isinstance(t, str) for t in targets):
        raise ExportError(f"targets is {targets!r}: pass a list of names, such as list(Y.columns)")
    numbers = [o.source.partition("_")[2] for o in outputs]
    count = len(set(numbers) - {""})
    if not count:
        said = ", ".join(repr(o.name) for o in outputs)
        raise ExportError(
            f"targets names several targets, and the pipeline answers {said} for one: leave it out"
        )
    if len(targets) != count:
        raise ExportError(
            f"targets has {len(targets)} names, the pipeline {count} targets: name each, in its order"
        )
    for name in targets:
        _check(name, outputs[0].kind == "value")
    twice = [name for name, times in Counter(targets).items() if times > 1]
    if twice:
        raise ExportError(f"targets has {twice[0]!r} twice: outputs need names of their own")
    return tuple(replace(o, name=_name(o, targets)) for o in outputs)


def _name(output: Output, targets: Sequence[str]) -> str:
    stem, _, number = output.source.partition("_")
    return targets[int(number)] if stem == "prediction" else f"{stem}_{targets[int(number)]}"


def _check(name: Any, alone: bool) -> None:
    if not is_plain_name(name) or len(name.encode()) > LONGEST_NAME - _PREFIX:
        raise ExportError(
            f"targets has the name {name[:64]!r}, which is empty, too long or holds control characters: rename it"
        )
    if alone and name.split("_")[0] in RESERVED:
        raise ExportError(
            f"targets has the name {name!r}, which begins as the outputs of labels do: rename it"
        )
