"""What a difference probably is: hypotheses tried on the rows that differ, with the graph at hand.

The codes and sentences are the server's (docs/parity.md). A cause is never guessed: the rows are changed and run
again, or the answers are changed, and then they are what the pipeline said.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tenon.compare import Sample, distances, run, scale_of, session
from tenon.inputs import SENTINEL, Array, Rows
from tenon.signature import Output, Signature

FAILING, RIGHT = 120, 120
"""Rows that hypotheses are tried on, spread over those that differ and those that do not."""
CONVINCES = 0.9
SECONDS = 10.0
MOST = 5
_LEFT = 0.01
"""Of a row's distance, where a parameter was estimated."""


@dataclass(frozen=True)
class Cause:
    """What a difference probably is: `explains` of `of` differing rows answer as the pipeline did with it undone."""

    code: str
    """One of the closed list in docs/parity.md, such as columns-swapped."""
    detail: str
    columns: tuple[str, ...]
    explains: int
    of: int


@dataclass(frozen=True)
class Feature:
    """One column of one graph input."""

    name: str
    feed: str
    at: int
    is_text: bool
    domain: tuple[str, ...] = ()
    """The categories that the signature lists."""


class Lab:
    """Some rows that differ and some that do not, the graph, and what the pipeline says."""

    def __init__(
        self,
        model: bytes | str,
        feed: Callable[[Rows], dict[str, Array]],
        signature: Signature,
        samples: Sequence[Sample],
    ) -> None:
        self.outputs, self.features = (outputs := signature.outputs), _features(signature)
        self._scales, self._runner = scale_of(outputs, samples), session(model)
        self._end = time.monotonic() + SECONDS
        self.base = feed(samples[0].frame)
        """The hold-out rows, which tell how columns are distributed."""
        samples = [s for s in samples if self.answers(feed(s.frame)) is not None]
        tensors = [feed(s.frame) for s in samples]
        feeds = {n: np.concatenate([t[n] for t in tensors]) for n in tensors[0]}
        want = {o.name: np.concatenate([s.expected[o.name] for s in samples]) for o in outputs}
        got = run(self._runner, outputs, feeds)
        self.whole = feeds, want, got
        """All rows: what is asked, and what the pipeline and the graph say."""
        wrong = self._wrong(want, got)
        rows = np.concatenate(
            [_spread(np.flatnonzero(wrong), FAILING), _spread(np.flatnonzero(~wrong), RIGHT)]
        )
        self.feeds = {n: v[rows] for n, v in feeds.items()}
        self.want = {n: v[rows] for n, v in want.items()}
        self.got = run(self._runner, outputs, self.feeds)
        self.wrong = self._wrong(self.want, self.got)
        self._before = self._gap(self.got)

    def column(self, feature: Feature, feeds: Mapping[str, Array] | None = None) -> Array:
        """The values of a column [n] in the rows, or in other tensors."""
        tensor = (self.feeds if feeds is None else feeds)[feature.feed]
        return tensor if tensor.ndim == 1 else tensor[:, feature.at]

    def missing(self, feature: Feature) -> Array:
        """The rows in which a column is missing."""
        values = self.column(feature)
        return np.asarray(values == SENTINEL if feature.is_text else values != values, dtype=bool)

    def known(self, feature: Feature) -> list[str]:
        """The categories of a text column: those of the signature, else those in the hold-out rows."""
        return sorted(feature.domain or set(self.column(feature, self.base).tolist()) - {SENTINEL})

    def edited(self, changes: Mapping[Feature, Array]) -> dict[str, Array]:
        """The rows with some columns replaced."""
        feeds = {n: v.copy() for n, v in self.feeds.items()}
        with np.errstate(all="ignore"):
            for feature, values in changes.items():
                tensor = feeds[feature.feed]
                (tensor if tensor.ndim == 1 else tensor[:, feature.at])[...] = values
        return feeds

    def answers(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """The graph's answers to changed rows; None where it has none, or time is up."""
        if time.monotonic() > self._end:
            return None
        try:
            return run(self._runner, self.outputs, feeds)
        except Exception:
            return None

    def alone(self) -> Array:
        """By row, whether it differs when it is run alone."""
        parts = []
        for i in range(len(self.wrong)):
            one = self.answers({n: v[i : i + 1] for n, v in self.feeds.items()})
            parts.append(
                one is None or bool(self._wrong({n: v[i : i + 1] for n, v in self.want.items()}, one)[0])
            )
        return np.array(parts, dtype=bool)

    def explained(self, got: Mapping[str, Array], rough: bool = False) -> Array:
        """By row, whether answers are the pipeline's: within tolerance, or `rough`, a hundredth of the way off."""
        left = _LEFT * np.where(np.isfinite(self._before), self._before, 0) if rough else 0
        close: Array = self._gap(got) <= left
        return close

    def alike(self, got: Mapping[str, Array]) -> Array:
        """By row, whether other answers are those that the graph gives to the row as it is."""
        return ~self._wrong(self.got, got)

    def alike_rows(self, said: Mapping[str, Array], some: Array, others: Array) -> Array:
        """By pair of rows, whether both have one answer."""
        return ~self._wrong({n: v[some] for n, v in said.items()}, {n: v[others] for n, v in said.items()})

    def apart(self, output: Output) -> Array:
        """By row, whether one output is beyond its tolerance."""
        want, got = self.want[output.name], self.got[output.name]
        differs = distances(output, want, got, self.scale(output))[1]
        return np.asarray(differs.reshape(len(differs), -1).any(axis=1))

    def scale(self, output: Output) -> float:
        """The largest finite answer of the pipeline, that abs is a share of."""
        return self._scales[output.name]

    def scores(self, output: Output, said: Mapping[str, Array]) -> Array | None:
        """An output [N, values] on the scale on which models add: probabilities in log-odds; None for no numbers."""
        values = said[output.name]
        if values.dtype.kind != "f":
            return None
        flat = values.reshape(len(values), -1).astype(np.float64)
        if output.kind != "probabilities":
            return flat
        with np.errstate(all="ignore"):
            logs = np.log(np.where(flat < 1e-7, np.nan, flat))
        odds: Array = logs - logs.mean(axis=1, keepdims=True)
        return odds

    def residual(self, got: Mapping[str, Array]) -> Array:
        """By row, how far answers are off, with its sign, in the score that was furthest off at first; NaN for none."""
        parts = [
            ((self.scores(o, said), self.scores(o, self.want)), self.scale(o))
            for o in self.outputs
            for said in (self.got, got)
            if self.want[o.name].dtype.kind == "f" and said[o.name].shape == self.want[o.name].shape
        ]
        if not parts:
            return np.full(len(self.wrong), np.nan)
        off = [np.asarray((a - b) / scale) for (a, b), scale in parts if a is not None and b is not None]
        first, now = np.concatenate(off[::2], axis=1), np.concatenate(off[1::2], axis=1)
        at = np.nan_to_num(np.abs(first), nan=-1.0).argmax(axis=1)
        worst: Array = now[np.arange(len(now)), at]
        return worst

    def judged(
        self,
        code: str,
        says: str,
        columns: Sequence[str],
        got: Mapping[str, Array] | None,
        rough: bool = False,
    ) -> list[Cause]:
        """The cause, if these answers explain nearly all rows that differ and spoil next to none that did not."""
        if got is None:
            return []
        good = self.explained(got, rough)
        explains, of, right = int((good & self.wrong).sum()), int(self.wrong.sum()), ~self.wrong
        if explains < max(2, CONVINCES * of) or (right & ~good).sum() > (1 - CONVINCES) * right.sum():
            return []
        return [self.cause(code, says, columns, explains)]

    def cause(
        self, code: str, says: str, columns: Sequence[str], explains: int, ends: str | None = None
    ) -> Cause:
        """A cause with its sentence."""
        of = int(self.wrong.sum())
        ends = ends or "differing rows answer as the pipeline did"
        return Cause(code, f"{says} {explains} of {of} {ends}.", tuple(columns), explains, of)

    def _gap(self, got: Mapping[str, Array]) -> Array:
        """By row, the largest distance beyond tolerance in parts of the scale; infinite for another label."""
        worst = np.zeros(len(next(iter(self.want.values()))))
        for o in self.outputs:
            want, have = self.want[o.name], np.asarray(got[o.name])
            if have.shape != want.shape:
                return np.full(len(worst), np.inf)
            far, wrong = distances(o, want, have, self._scales[o.name])
            far = np.where(wrong, far / self._scales[o.name] if want.dtype.kind == "f" else np.inf, 0.0)
            worst = np.maximum(worst, far.reshape(len(far), -1).max(axis=1, initial=0.0))
        return worst

    def _wrong(self, want: Mapping[str, Array], got: Mapping[str, Array]) -> Array:
        wrong = np.zeros(len(next(iter(want.values()))), dtype=bool)
        for o in self.outputs:
            if got[o.name].shape != want[o.name].shape:
                return ~wrong
            differs = distances(o, want[o.name], got[o.name], self._scales[o.name])[1]
            wrong |= differs.reshape(len(wrong), -1).any(axis=1)
        return wrong


def causes(
    model: bytes | str,
    feed: Callable[[Rows], dict[str, Array]],
    signature: Signature,
    samples: Sequence[Sample],
) -> list[Cause]:
    """What the differences of a model from the truth probably are, best first, at most five; [] where nothing holds.

    The arguments are those of `check.differences`.
    """
    from tenon.hypotheses import HYPOTHESES

    try:
        lab = Lab(model, feed, signature, samples)
        if not lab.wrong.any():
            return []
        found: list[Cause] = []
        for group in HYPOTHESES:
            found += [cause for hypothesis in group for cause in hypothesis(lab)]
            if found:
                break
    except Exception as e:
        # Whatever goes wrong in the search, the refusal itself must reach the user.
        warnings.warn(f"the search for causes failed: {type(e).__name__}: {e}", RuntimeWarning, stacklevel=2)
        return []
    return sorted(found, key=lambda c: -c.explains / c.of)[:MOST]


def by_accident(explains: int, share: float) -> bool:
    """Whether so many rows may all be what a share of rows are anyway, at one in a million."""
    return bool(explains * np.log(max(share, 0.01)) > np.log(1e-6))


def quoted(names: Sequence[Any]) -> str:
    """Names in quotes: "a", "b" and 3 more."""
    said = [f'"{n}"' for n in names[:4]]
    if len(names) > len(said):
        return f"{', '.join(said)} and {len(names) - len(said)} more"
    return " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)


def _features(signature: Signature) -> list[Feature]:
    found = []
    for i, policy in zip(signature.inputs, signature.policies, strict=True):
        text = i.elem == "string"
        domain = tuple(map(str, policy.domain or ())) if text else ()
        if i.shape is None:
            found.append(Feature(i.name, i.feed, signature.columns.get(i.name, 0), text, domain))
        elif len(i.shape) == 1:
            found += [Feature(f"{i.name}[{e}]", i.feed, e, text, domain) for e in range(i.shape[0])]
    return found


def _spread(rows: Array, most: int) -> Array:
    if len(rows) <= most:
        return rows
    some: Array = rows[np.linspace(0, len(rows) - 1, most).astype(int)]
    return some
