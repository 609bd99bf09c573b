"""The signature: logical inputs and outputs, what they may hold, and how they map to graph tensors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tenon.inputs import SENTINEL, Input

EXACT = {"rel": 0.0, "abs": 0.0}
LOWERED = {"rel": 1e-9, "abs": 1e-12}
"""For what the kit lowers itself; measured differences are 0 for trees and 1e-14 for linear models."""
SINGLE = {"rel": 1e-6, "abs": 1e-6}
"""For what scikit-learn itself computes in float32."""
CONVERTED = {"rel": 1e-4, "abs": 1e-5}
CONVERTED_PROBABILITIES = {"rel": 0.0, "abs": 1e-5}
LOOSEST = 0.1
"""The most that a server takes for rel and abs."""


@dataclass(frozen=True)
class Output:
    """One logical output; `classes` only for probabilities, `tolerance` None where answers must be equal."""

    name: str
    kind: str
    """label, probabilities or value."""
    type: str
    source: str
    """The graph output that it is read from."""
    classes: tuple[Any, ...] | None = None
    tolerance: dict[str, float] | None = None
    shape: tuple[int, ...] | None = None
    """None: one value a row. Otherwise the shape of a row's value."""
    finite: bool = False
    """Whether a server refuses a row for which the graph says NaN or an infinity."""

    def to_json(self) -> dict[str, Any]:
        """The member of signature.json."""
        out: dict[str, Any] = {"name": self.name, "kind": self.kind, "from": self.source, "type": self.type}
        if self.shape is not None:
            out["shape"] = list(self.shape)
        if self.classes is not None:
            out["classes"] = list(self.classes)
        if self.tolerance is not None:
            out["tolerance"] = self.tolerance
        if self.finite:
            out["finite"] = True
        return out


@dataclass(frozen=True)
class Policy:
    """What a request may hold in one input: missing values, categories unseen in training, a range of numbers."""

    missing: bool = False
    domain: tuple[Any, ...] | None = None
    refuse_unknown: bool = False
    minimum: Any = None
    """The least number that is answered, in the input's type; None leaves the side open."""
    maximum: Any = None

    def within(self) -> str:
        """The range in words; empty where there is none."""
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum} to {self.maximum}"
        if self.minimum is not None:
            return f"at least {self.minimum}"
        return "" if self.maximum is None else f"at most {self.maximum}"


@dataclass(frozen=True)
class Signature:
    """All inputs and outputs of a version."""

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    policies: tuple[Policy, ...]
    columns: dict[str, int] = field(default_factory=dict)
    """By input name, for inputs that are columns of one matrix: the column that each is."""
    unused: tuple[str, ...] = ()
    """Columns of the training frame that the pipeline never reads: requests may hold them, and need not."""

    def to_json(self) -> dict[str, Any]:
        """The content of signature.json."""
        members = [self._input(i, p) for i, p in zip(self.inputs, self.policies, strict=True)]
        unused = {"unused": list(self.unused)} if self.unused else {}
        return {"inputs": members, **unused, "outputs": [o.to_json() for o in self.outputs]}

    def _input(self, column: Input, policy: Policy) -> dict[str, Any]:
        out: dict[str, Any] = {"name": column.name, "type": column.type}
        out["missing"] = "allowed" if policy.missing else "refused"
        if column.is_text and policy.missing:
            out["sentinel"] = SENTINEL
        if policy.domain is not None:
            out["domain"] = list(policy.domain)
            out["unknown"] = "refuse" if policy.refuse_unknown else "accept"
        ends = {"minimum": policy.minimum, "maximum": policy.maximum}
        out |= {name: end for name, end in ends.items() if end is not None}
        out["feed"] = column.feed
        if column.name in self.columns:
            out["column"] = self.columns[column.name]
        if column.shape is not None:
            out["shape"] = list(column.shape)
        return out


def class_key(value: Any) -> str:
    """The key of a class among probabilities: a string as it is, otherwise its JSON text (`0`, `true`)."""
    return value if isinstance(value, str) else json.dumps(value)


def class_keys(classes: Sequence[Any]) -> list[str]:
    """The keys of all classes, in the order of the classes."""
    return [class_key(c) for c in classes]
