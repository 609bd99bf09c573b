"""The numbers that a pipeline answers for, found by trying it: a minimum and a maximum for each numeric input.

scikit-learn raises for infinities, for what is one in float32, for the logarithm of -5; a graph answers something. So
each column is taken outwards from its training data, over the values at which pipelines usually begin to raise, up to
infinity. All columns go together in one row as long as that row is answered, so that a wide table costs a few calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tenon.compare import Sample, distances, run, scale_of, session
from tenon.inputs import EXACT, Array, Frame, Input, feeds, take
from tenon.samples import Truth, fullest, put
from tenon.signature import Output

BISECTED = 16
"""Borders that are sought to the last bit; those of more columns stay at the last value that was answered."""
ALONE = 16
"""Rows that are tried one by one, before halves are."""
FAR = 1e30
"""Beyond, borders are round: the last value of the table below that is answered. A column is taken for refused there
where those tried before it are, so that a wide table costs a few calls."""
ELEMENTS = 256
"""Of an array input, those that are tried."""
LOUD = {"f": 1e6, "i": EXACT, "u": EXACT}
"""By kind of type: up to here a graph that answers otherwise is a fault, and never hidden by a minimum or maximum."""
TOGETHER = {"float64": (1e150, 1e100, 1e50), "float32": (1e18, 1e12, 1e9)}
"""Magnitudes to which all columns are held, where alone they are answered and together they overflow unseen."""

_SINGLE = float(np.nextafter(2.0**128 - 2.0**103, 0))
"""The largest double that float32 holds; the next one is infinite there."""
_FLOATS = {
    "float64": (
        5e-324,
        float(np.nextafter(1, 0)),
        1.0,
        float(np.nextafter(1, 2)),
        1e6,
        _SINGLE,
        2.0**128 - 2.0**103,
        1e100,
        1e300,
    ),
    "float32": (1e-45, float(np.nextafter(np.float32(1), np.float32(0))), 1.0, 1e6, 1e18, 1e30),
}
_WHOLE = (0, 1, 46340, 46341, 3037000499, 3037000500, EXACT, EXACT + 1)
"""Integers at which something changes: squares of 32 and 64 bits wrap, doubles are no longer exact."""


@dataclass(frozen=True)
class Limits:
    """The least and the greatest value of an input that is answered, in its own type; None leaves the side open."""

    minimum: Any = None
    maximum: Any = None
    parted: bool = False
    """Whether the pipeline answers beyond, but the graph not as it does."""

    def ends(self) -> list[Any]:
        """Those that there are."""
        return [end for end in (self.minimum, self.maximum) if end is not None]


class Served:
    """The graph, as far as it is asked whether it answers like the pipeline."""

    def __init__(
        self, model: bytes, inputs: Sequence[Input], outputs: Sequence[Output], held: Sample
    ) -> None:
        self._inputs, self._outputs = inputs, outputs
        self._runner, self._scales = session(model), scale_of(outputs, [held])

    def agrees(self, rows: Frame, expected: Mapping[str, Array]) -> Array:
        """By row [N], whether all outputs are the pipeline's, within their tolerances."""
        got, good = self._run(rows), np.ones(len(rows), dtype=bool)
        for output in self._outputs:
            answers = got.get(output.name)
            if answers is None or answers.shape != expected[output.name].shape:
                return np.zeros(len(rows), dtype=bool)
            _, wrong = distances(output, expected[output.name], answers, self._scales[output.name])
            good &= ~wrong.reshape(len(rows), -1).any(axis=1)
        return good

    def numbers(self, rows: Frame, names: Sequence[str]) -> Array:
        """By row [N], whether those outputs hold no NaN and no infinity."""
        got = self._run(rows)
        return _numbers(got, names, len(rows)) if got else np.zeros(len(rows), dtype=bool)

    def _run(self, rows: Frame) -> dict[str, Array]:
        try:
            return run(self._runner, self._outputs, feeds(self._inputs, rows))
        except Exception:  # what ONNX Runtime refuses is no answer
            return {}


@dataclass(eq=False)
class _Side:
    """One direction of one input: the farthest value that was answered, and the nearest one that was not."""

    number: int
    column: Input
    direction: int
    elements: Sequence[int | None]
    start: Any
    """The end of the training data."""
    inside: Any
    steps: list[Any]
    outside: Any = None
    parted: bool = False
    cap: float = np.inf

    @property
    def end(self) -> Any:
        """The farthest value that a request may hold."""
        end = _extreme(self.column.type, self.direction) if self.outside is None else self.inside
        if abs(end) > self.cap >= abs(self.start):
            return self.direction * self.cap
        return end

    @property
    def gap(self) -> int:
        """How many values lie between the answered and the refused one, plus one; 0 where the side is open."""
        if self.outside is None:
            return 0
        return abs(_rank(self.outside, self.column.type) - _rank(self.inside, self.column.type))


def limits(
    truth: Truth, served: Served, finite: Sequence[str], inputs: Sequence[Input], frames: Sequence[Frame]
) -> dict[int, Limits]:
    """By input, what it is limited to; inputs without limits are left out.

    A row counts as answered where `truth` does not raise, its outputs `finite` are numbers, and the graph says the
    same. The values of `frames` always lie inside; a row of the last is the one that is changed.
    """
    search = _Search(truth, served, finite, inputs, frames)
    search.climb()
    search.close()
    search.hold_together()
    return search.found()


class _Search:
    def __init__(
        self,
        truth: Truth,
        served: Served,
        finite: Sequence[str],
        inputs: Sequence[Input],
        frames: Sequence[Frame],
    ) -> None:
        self._truth, self._served, self._finite, self._inputs = truth, served, finite, inputs
        self._base = fullest(frames[-1])
        self.sides = [s for n, c in enumerate(inputs) for s in _sides(n, c, frames)]

    def climb(self) -> None:
        """Takes every side outwards until it is refused or has reached the end of its type."""
        while open_sides := [s for s in self.sides if s.outside is None and s.steps]:
            # Those with most before them: so all come to the same values at the same time.
            most = max(len(s.steps) for s in open_sides)
            open_sides = [s for s in open_sides if len(s.steps) == most]
            tried = [s.steps.pop(0) for s in open_sides]
            for side, value, good in zip(open_sides, tried, self.answered(open_sides, tried), strict=True):
                if good:
                    side.inside = value
                else:
                    side.outside = value

    def close(self) -> None:
        """Finds the borders that lie between two tried values and not far out, the widest gaps first."""
        wide = sorted((s for s in self.sides if s.gap > 1 and abs(s.inside) < FAR), key=lambda s: -s.gap)
        shared: set[tuple[str, int]] = set()
        for side in wide[:BISECTED]:
            while side.gap > 1:
                self._halve(side)
            kind = (side.column.type, side.direction)
            if kind not in shared:
                shared.add(kind)
                self._share(side, [s for s in wide if s.gap > 1 and (s.column.type, s.direction) == kind])

    def _halve(self, side: _Side) -> None:
        low, high = _rank(side.inside, side.column.type), _rank(side.outside, side.column.type)
        self._narrow([side], _of_rank((low + high) // 2, side.column.type))

    def _share(self, side: _Side, others: Sequence[_Side]) -> None:
        """Tries the border of one column at others: many columns have the same."""
        for value in (side.inside, side.outside):
            self._narrow([s for s in others if s.gap > 1 and _between(s.inside, value, s.outside)], value)

    def _narrow(self, sides: Sequence[_Side], value: Any) -> None:
        for side, good in zip(sides, self.answered(sides, [value] * len(sides)), strict=True):
            if good:
                side.inside = value
            else:
                side.outside = value

    def hold_together(self) -> None:
        """Narrows the columns, where a row with all at their ends is refused and the graph would answer it."""
        for caps in (
            {},
            *(dict(zip(TOGETHER, c, strict=True)) for c in zip(*TOGETHER.values(), strict=True)),
            {},
        ):
            for side in self.sides:
                side.cap = caps.get(side.column.type, np.inf)
            if self._holds():
                return

    def _holds(self) -> bool:
        """Whether rows with every column at one of its ends are answered, or seen to be not."""
        if not self.sides:
            return True
        low, high = self.sides[::2], self.sides[1::2]
        mixed = [pair[i % 2] for i, pair in enumerate(zip(low, high, strict=True))]
        other = [pair[1 - i % 2] for i, pair in enumerate(zip(low, high, strict=True))]
        frame = self._frame([{s: s.end for s in corner} for corner in (low, high, mixed, other)])
        good, _ = self._ask(frame)
        return bool((good | ~self._served.numbers(frame, self._finite)).all())

    def found(self) -> dict[int, Limits]:
        """By input."""
        out = {}
        for low, high in zip(self.sides[::2], self.sides[1::2], strict=True):
            ends = [None if s.end == _extreme(s.column.type, s.direction) else s.end for s in (low, high)]
            if ends != [None, None]:
                out[low.number] = Limits(ends[0], ends[1], low.parted or high.parted)
        return out

    def answered(self, sides: Sequence[_Side], values: Sequence[Any]) -> list[bool]:
        """For each side, whether its value is answered, in a row where nothing else is changed."""
        if len(sides) > 2 and self._answered_together(sides, values):
            return [True] * len(sides)
        rows = [(i, e) for i, s in enumerate(sides) for e in s.elements]
        frame = self._frame([{sides[i]: values[i]} for i, _ in rows], [e for _, e in rows])
        good, agreed = self._ask(frame, far=all(abs(v) > FAR for v in values))
        out = [True] * len(sides)
        for (i, _), is_good, is_agreed in zip(rows, good, agreed, strict=True):
            column = sides[i].column
            if is_good and not is_agreed and abs(values[i]) > LOUD[np.dtype(column.type).kind]:
                sides[i].parted = True
                out[i] = False
            out[i] &= bool(is_good)
        return out

    def _answered_together(self, sides: Sequence[_Side], values: Sequence[Any]) -> bool:
        pairs = list(zip(sides, values, strict=True))
        corners = [{s: v for s, v in pairs if s.direction == way} for way in (-1, 1)]
        good, agreed = self._ask(self._frame([c for c in corners if c]))
        return bool((good & agreed).all())

    def _frame(
        self, rows: Sequence[Mapping[_Side, Any]], elements: Sequence[int | None] | None = None
    ) -> Frame:
        """The base row, once for each of `rows`, with those values; of arrays in all elements, or in that one."""
        cells: dict[tuple[int, int | None], dict[int, Any]] = {}
        for r, row in enumerate(rows):
            for side, value in row.items():
                for e in side.elements if elements is None else (elements[r],):
                    cells.setdefault((side.number, e), {})[r] = value
        return put(self._inputs, take(self._base, np.zeros(len(rows), dtype=int)), cells)

    def _ask(self, frame: Frame, far: bool = False) -> tuple[Array, Array]:
        """By row: whether the pipeline answers numbers, and whether the graph answers the same."""
        good, agreed = (np.zeros(len(frame), dtype=bool) for _ in range(2))
        found = _answers(self._truth, frame, far)
        if found:
            rows = [r for group, _ in found for r in group]
            answers = {k: np.concatenate([said[k] for _, said in found]) for k in found[0][1]}
            good[rows] = _numbers(answers, self._finite, len(rows))
            agreed[rows] = self._served.agrees(take(frame, rows), answers)
        return good, agreed


def _numbers(answers: Mapping[str, Array], names: Sequence[str], count: int) -> Array:
    good = np.ones(count, dtype=bool)
    for name in names:
        good &= np.isfinite(answers[name]).reshape(count, -1).all(axis=1)
    return good


def _answers(truth: Truth, frame: Frame, far: bool) -> list[tuple[list[int], dict[str, Array]]]:
    """The rows that the pipeline answers, in groups, with its answers: all at once, or halves, or one by one.

    Where rows that are spread over all of them are refused, so are the others, if that is `far` out.
    """

    def asked(rows: list[int]) -> list[tuple[list[int], dict[str, Array]]]:
        try:
            return [(rows, truth(take(frame, rows)))]
        except Exception:
            return []

    def halves(rows: list[int]) -> list[tuple[list[int], dict[str, Array]]]:
        found = asked(rows)
        if found or len(rows) == 1:
            return found
        alone = rows[:: max(1, len(rows) // ALONE)]
        rest = [r for r in rows if r not in set(alone)]
        first = [one for r in alone for one in asked([r])]
        if not rest or (far and not first):
            return first
        if not first:  # halves would only be refused once more
            return [one for r in rest for one in asked([r])]
        middle = (len(rest) + 1) // 2
        return first + halves(rest[:middle]) + (halves(rest[middle:]) if rest[middle:] else [])

    return halves(list(range(len(frame))))


def _sides(number: int, column: Input, frames: Sequence[Frame]) -> list[_Side]:
    """Down and up; none for text and booleans."""
    if column.is_text or column.type == "bool":
        return []
    elements: Sequence[int | None] = [None]
    if column.width is not None:
        elements = np.unique(
            np.linspace(0, column.width - 1, min(column.width, ELEMENTS)).astype(int)
        ).tolist()
    values = np.concatenate([_values(column, f) for f in frames])
    least, most = (values.min(), values.max()) if len(values) else (0, 0)
    kind: Any = float if column.type.startswith("float") else int
    ends = ((-1, kind(least)), (1, kind(most)))
    return [_Side(number, column, way, elements, v, v, _steps(column.type, v, way)) for way, v in ends]


def _values(column: Input, frame: Frame) -> Array:
    """All numbers of an input, flat."""
    if isinstance(frame, np.ndarray):
        flat = frame.ravel()
    else:
        series = frame[column.key].dropna()
        flat = series.to_numpy(column.type) if column.absent == "na" else series.to_numpy()
    return flat[np.isfinite(flat)] if flat.dtype.kind == "f" else flat


def _steps(kind: str, start: Any, way: int) -> list[Any]:
    """The values to try from `start` on outwards, to the end of the type."""
    marks = _FLOATS.get(kind, _WHOLE)
    ends = [_extreme(kind, -1), _extreme(kind, 1)]
    points = {
        s * m + 0 for m in (0 * marks[0], *marks) for s in (-1, 1) if ends[0] <= s * m <= ends[1]
    } | set(ends)
    return sorted((p for p in points if (p - start) * way > 0), reverse=way < 0)


def _extreme(kind: str, way: int) -> Any:
    if kind.startswith("float"):
        return way * np.inf
    return int(np.iinfo(kind).max if way > 0 else np.iinfo(kind).min)


def _between(inside: Any, value: Any, outside: Any) -> bool:
    return bool(min(inside, outside) < value < max(inside, outside))


def _rank(value: Any, kind: str) -> int:
    """The place of a value among all of its type, so that neighbours differ by one."""
    if not kind.startswith("float"):
        return int(value)
    size = np.dtype(kind).itemsize
    bits = int(np.array([abs(value)], dtype=kind).view(f"i{size}")[0])
    return bits if value >= 0 else -bits


def _of_rank(rank: int, kind: str) -> Any:
    if not kind.startswith("float"):
        return rank
    size = np.dtype(kind).itemsize
    value = float(np.array([abs(rank)], dtype=f"i{size}").view(kind)[0])
    return value if rank >= 0 else -value
