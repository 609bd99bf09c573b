"""The hypotheses on a difference: each takes a lab and returns the causes that convince there."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tenon.diagnose import CONVINCES, Cause, Feature, Lab, by_accident, quoted
from tenon.hypotheses_answers import (
    label_not_likeliest,
    link_twice,
    logistic,
    of_second,
    output_rounded,
    softmax,
    tree_lost,
)
from tenon.hypotheses_columns import (
    category_lost,
    column_affine,
    columns_reordered,
    imputed_otherwise,
    input_ignored,
    scaled_otherwise,
)
from tenon.inputs import SENTINEL, Array
from tenon.samples import UNSEEN

Hypothesis: TypeAlias = Callable[[Lab], list[Cause]]

PAIRS = 300
COLUMNS = 30
"""That are tried one by one, so that a wide frame does not take minutes."""
CATEGORIES = 30
NEAR = 2e-7
"""About the precision of float32, relative."""


def labels_permuted(lab: Lab) -> list[Cause]:
    """Labels are exchanged one for one."""
    found = []
    for o in (o for o in lab.outputs if o.kind == "label"):
        got, want = lab.got[o.name], lab.want[o.name]
        meant = _one_to_one(got[got != want], want[got != want])
        if len(meant) > 1:
            pairs = ", ".join(f"{a} stands for {b}" for a, b in list(meant.items())[:3])
            back = np.array([meant.get(v, v) for v in got.tolist()], dtype=want.dtype)
            says = f"Labels look permuted ({pairs}): with them exchanged back,"
            found += lab.judged("labels-permuted", says, (), {**lab.got, o.name: back})
    return found


def classes_permuted(lab: Lab) -> list[Cause]:
    """The probabilities belong to other classes, and labels with them."""
    found = []
    for o in (o for o in lab.outputs if o.kind == "probabilities" or (o.shape and len(o.shape) == 1)):
        got, want = lab.got[o.name], lab.want[o.name]
        if got.shape != want.shape:
            continue
        apart = np.abs(want[:, :, None] - got[:, None, :])[lab.wrong].mean(axis=0)
        order = apart.argmin(axis=1)
        if sorted(order) == list(range(len(order))) and (order != np.arange(len(order))).any():
            labels = {p.name: lab.want[p.name] for p in lab.outputs if p.kind == "label"}
            says = f'The columns of "{o.name}" look permuted: with them put back,'
            found += lab.judged("classes-permuted", says, (), {**lab.got, **labels, o.name: got[:, order]})
    return found


def answers_changed(lab: Lab) -> list[Cause]:
    """A last step is missing, or all numbers are off by one amount or factor."""
    found = []
    for o in lab.outputs:
        got, want = lab.got[o.name], lab.want[o.name]
        if want.dtype.kind != "f" or got.shape != want.shape:
            continue
        steps = _links(got) if got.ndim == 2 else _inverses(got)
        for code, says, changed in itertools.chain(steps, _linear(o.name, got, want, lab.wrong)):
            rough = code in ("output-shifted", "output-scaled")
            found += lab.judged(code, says, (), {**lab.got, o.name: changed}, rough)
    return found[:1]


def rows_mixed(lab: Lab) -> list[Cause]:
    """Rows are right when each is run alone."""
    alone = lab.alone()
    explains = int((lab.wrong & ~alone).sum())
    if explains < max(2, CONVINCES * lab.wrong.sum()):
        return []
    return [lab.cause("rows-mixed", "Rows look answered with those of others: run alone,", (), explains)]


def columns_swapped(lab: Lab) -> list[Cause]:
    """Two columns of a kind are exchanged."""
    found = []
    for a, b in itertools.islice(_pairs(lab.features), PAIRS):
        names = (a.name, b.name)
        with np.errstate(invalid="ignore"):
            feeds = lab.edited({a: lab.column(b), b: lab.column(a)})
        says = f"Columns {quoted(names)} look swapped: with them exchanged,"
        found += lab.judged("columns-swapped", says, names, lab.answers(feeds))
    return found


def columns_scaled(lab: Lab) -> list[Cause]:
    """A column, or all, in another unit, or standardised once too often or too rarely."""
    numbers = [f for f in lab.features if not f.is_text]
    groups = [[f] for f in numbers[:COLUMNS]] + ([numbers] if len(numbers) > 1 else [])
    found = []
    for group in groups:
        names = [f.name for f in group]
        looks = f"Column {quoted(names)} looks" if len(group) == 1 else f"Columns {quoted(names)} look"
        for code, says, step in _UNITS:
            with np.errstate(all="ignore"):
                feeds = lab.edited({f: step(lab.column(f), *_moments(lab, f)) for f in group})
            found += lab.judged(code, f"{looks} {says},", names, lab.answers(feeds), rough=True)
    return found


def missing_differs(lab: Lab) -> list[Cause]:
    """Only rows differ that miss some column."""
    some, gone = [], np.zeros(len(lab.wrong), dtype=bool)
    lacking = {f: lab.missing(f) for f in lab.features}
    wrong = {f: g & lab.wrong for f, g in lacking.items() if 2 * (g & lab.wrong).sum() >= max(4, g.sum())}
    # The fewest columns that do: a row with everything missing says nothing about each.
    while wrong and (best := max(wrong, key=lambda f: int((wrong[f] & ~gone).sum()))) not in some:
        some.append(best)
        gone |= lacking[best]
        wrong = {f: w for f, w in wrong.items() if (w & ~gone).any()}
    names = [f.name for f in some]
    nothing = [np.isnan(v).reshape(len(v), -1).any(axis=1) for v in lab.got.values() if v.dtype.kind == "f"]
    if nothing and np.any(nothing, axis=0)[gone & lab.wrong].all():
        says = f"Missing values of {quoted(names)} look left as they are, without an imputer:"
        return _where(lab, "imputer-dropped", says, names, gone, "differing rows lack it and get no number")
    says = f"Only rows in which {quoted(names)} is missing look wrong:"
    return _where(lab, "missing-differs", says, names, gone, "differing rows lack it")


def category_differs(lab: Lab) -> list[Cause]:
    """Only rows differ that hold one category, or one that X does not."""
    found = []
    for f in (f for f in lab.features if f.is_text):
        values, known = lab.column(f), lab.known(f)
        unseen = np.array([v not in known and v != SENTINEL for v in values.tolist()], dtype=bool)
        found += _answered_as(lab, f, unseen, known)
        wrong = Counter(values[lab.wrong & ~unseen].tolist()).most_common(1)
        for value, _ in wrong:
            said = "no value" if value == SENTINEL else f'"{value}"'
            says = f"Only rows with {said} in column {quoted([f.name])} look wrong:"
            found += _where(
                lab, "category-differs", says, [f.name], values == value, "differing rows hold it"
            )
    return found


def categories_permuted(lab: Lab) -> list[Cause]:
    """The list of categories of a column, or of all, is shifted by one place."""
    texts = [f for f in lab.features if f.is_text][:COLUMNS]
    found = []
    for group in [*([f] for f in texts), *([texts] if len(texts) > 1 else [])]:
        names = [f.name for f in group]
        for by, unseen in itertools.product((-1, 1), ((), (UNSEEN,))):
            feeds = lab.edited({f: _rolled(lab, f, by, unseen) for f in group})
            says = f"Categories of {quoted(names)} look shifted by one place in their list: shifted back,"
            found += lab.judged("categories-permuted", says, names, lab.answers(feeds))
    return found[:1]


def at_thresholds(lab: Lab) -> list[Cause]:
    """A row moved by next to nothing answers as the pipeline did."""
    numbers = [f for f in lab.features if lab.column(f).dtype.kind == "f"]
    found: list[Cause] = []
    near = np.zeros(len(lab.wrong), dtype=bool)
    for up, word in ((-np.inf, "down"), (np.inf, "up")):
        for kind in ("f8", "f4"):
            moved = {f: _next(lab.column(f), up, kind) for f in numbers}
            good = _good(lab, moved)
            near |= good
            if not found and good.sum() >= max(2, CONVINCES * lab.wrong.sum()):
                says = f"Rows on thresholds look compared otherwise (< for <=): moved {word} by the smallest step,"
                found = [lab.cause("less-or-equal", says, (), int(good.sum()))]
    if found:
        return found
    # Together first; then one by one, because two columns may have to move apart.
    for some in [numbers, *([f] for f in numbers[: 2 * COLUMNS])]:
        for sign, times in itertools.product((-1, 1), (1, 4)):
            near |= _good(lab, {f: _moved(lab, f, sign * times * NEAR) for f in some})
    if near.sum() < max(1, CONVINCES * lab.wrong.sum()):
        return []
    says = (
        "Off at thresholds, as by a float32 scaler before a tree or by rounded thresholds: "
        "moved by about the precision of float32,"
    )
    return [lab.cause("rounded-to-float32", says, (), int(near.sum()))]


HYPOTHESES: tuple[tuple[Hypothesis, ...], ...] = (
    (rows_mixed,),
    (labels_permuted, classes_permuted),
    (label_not_likeliest,),
    (at_thresholds,),
    (imputed_otherwise, category_lost),
    (missing_differs, category_differs),
    (columns_swapped, columns_reordered, categories_permuted),
    (link_twice, output_rounded, answers_changed),
    (columns_scaled,),
    (input_ignored, column_affine),
    (scaled_otherwise, tree_lost),
)
"""In groups; the first group with a cause ends the search, since later ones fit more by chance."""


def _one_to_one(got: Array, want: Array) -> dict[Any, Any]:
    """What most of each wrong label's rows should have been; {} if two should be the same."""
    pairs = Counter(zip(got.tolist(), want.tolist(), strict=True))
    meant: dict[Any, Any] = {}
    for (a, b), _ in pairs.most_common():
        meant.setdefault(a, b)
    return meant if len(set(meant.values())) == len(meant) else {}


def _links(got: Array) -> Iterator[tuple[str, str, Array]]:
    says = "The answers look like scores, not probabilities: with {} applied,"
    with np.errstate(all="ignore"):
        yield "link-missing", says.format("softmax"), softmax(got)
        yield "link-missing", says.format("the logistic function"), logistic(got)
        if got.shape[1] == 2:
            yield "link-missing", says.format("the logistic function of the second class"), of_second(got)


def _inverses(got: Array) -> Iterator[tuple[str, str, Array]]:
    with np.errstate(all="ignore"):
        for name, changed in (
            ("exp", np.exp(got)), ("expm1", np.expm1(got)), ("10^x", 10.0**got), ("x²", got * got),
            ("log", np.log(got)), ("log1p", np.log1p(got)), ("the square root", np.sqrt(got)),
        ):  # fmt: skip
            yield "target-not-inverted", f"The target looks transformed: with {name} of the answers,", changed


def _linear(name: str, got: Array, want: Array, wrong: Array) -> Iterator[tuple[str, str, Array]]:
    """Off by one amount, or by one factor and one amount."""
    some = wrong & np.isfinite(got.reshape(len(got), -1)).all(axis=1)
    x, y = got[some].ravel().astype(np.float64), want[some].ravel().astype(np.float64)
    if len(x) < 4 or np.ptp(x) == 0 or not np.isfinite(y).all():
        return
    shift = float(np.median(y - x))
    yield "output-shifted", f'The output "{name}" looks shifted by {-shift:.6g}: without that,', got + shift
    factor, rest = np.polyfit(x, y, 1)
    if factor != 0:
        says = f'The output "{name}" looks scaled by {1 / factor:.6g}: without that,'
        yield "output-scaled", says, got * factor + rest


def _pairs(features: Sequence[Feature]) -> Iterator[tuple[Feature, Feature]]:
    """Pairs of one kind, neighbours first."""
    kinds = [[f for f in features if f.is_text == text] for text in (False, True)]
    for gap in range(1, len(features)):
        for kind in kinds:
            yield from zip(kind, kind[gap:], strict=False)


_Step: TypeAlias = Callable[[Array, float, float], Array]


def _times(factor: float) -> _Step:
    return lambda x, mean, std: x * factor


_FACTORS = (10, 100, 1000, 1e6, 12, 24, 60, 3600, 1024, 2.54, 25.4, 0.45359237, 0.3048, 1.609344)
_UNIT = "given in another unit"
_UNITS: list[tuple[str, str, _Step]] = [
    *(("column-unit", f"{_UNIT}: multiplied by {k:.6g}", _times(k)) for k in _FACTORS),
    *(("column-unit", f"{_UNIT}: divided by {k:.6g}", _times(1 / k)) for k in _FACTORS),
    ("column-unit", f"{_UNIT}: its sign changed", lambda x, mean, std: -x),
    ("column-unit", f"{_UNIT}: converted from °C to °F", lambda x, mean, std: x * 1.8 + 32),
    ("column-unit", f"{_UNIT}: converted from °F to °C", lambda x, mean, std: (x - 32) / 1.8),
    ("column-unit", f"{_UNIT}: replaced by its logarithm", lambda x, mean, std: np.log(x)),
    ("column-unit", f"{_UNIT}: replaced by its exp", lambda x, mean, std: np.exp(x)),
    (
        "column-not-scaled",
        "not standardised: standardised beforehand",
        lambda x, mean, std: (x - mean) / std,
    ),
    ("column-scaled-twice", "standardised twice: with one undone", lambda x, mean, std: x * std + mean),
]


def _moments(lab: Lab, feature: Feature) -> tuple[float, float]:
    """Mean and standard deviation over the hold-out rows."""
    values = np.asarray(lab.column(feature, lab.base), dtype=np.float64)
    return float(np.nanmean(values)), float(np.nanstd(values)) or 1.0


def _next(values: Array, up: float, kind: str) -> Array:
    """One step of a floating type."""
    with np.errstate(all="ignore"):
        narrow = values.astype(kind)
        moved: Array = np.nextafter(narrow, np.dtype(kind).type(up)).astype(values.dtype)
        return moved


def _moved(lab: Lab, feature: Feature, share: float) -> Array:
    values, (mean, std) = lab.column(feature), _moments(lab, feature)
    with np.errstate(all="ignore"):
        moved: Array = values + np.asarray(share * (np.abs(values) + abs(mean) + 2 * std), dtype=values.dtype)
        return moved


def _good(lab: Lab, changes: Mapping[Feature, Array]) -> Array:
    """The differing rows that answer as the pipeline did with some columns changed."""
    got = lab.answers(lab.edited(changes)) if changes else None
    return lab.wrong & lab.explained(got) if got is not None else np.zeros(len(lab.wrong), dtype=bool)


def _rolled(lab: Lab, feature: Feature, by: int, unseen: Sequence[str]) -> Array:
    """Each value replaced by its neighbour in the sorted list of those in X, and perhaps one for all others."""
    known = [*lab.known(feature), *unseen]
    to = dict(zip(known, np.roll(known, -by).tolist(), strict=True))
    rest = to.get(UNSEEN)
    return np.array([to.get(v, rest or v) if v != SENTINEL else v for v in lab.column(feature)], dtype=object)


def _answered_as(lab: Lab, feature: Feature, unseen: Array, known: Sequence[str]) -> list[Cause]:
    """Rows with an unseen value get the answers of a certain category."""
    mine = unseen & lab.wrong
    if mine.sum() < max(2, CONVINCES * lab.wrong.sum()):
        return []
    for category in known[:CATEGORIES]:
        got = lab.answers(lab.edited({feature: np.where(unseen, category, lab.column(feature))}))
        if got is not None and all(_equal(got[n][mine], v[mine]) for n, v in lab.got.items()):
            says = (
                "Values that training has not seen look answered like known ones "
                f'(of "{feature.name}" as "{category}"):'
            )
            ends = "differing rows hold one"
            return [lab.cause("unseen-as-category", says, (feature.name,), int(mine.sum()), ends)]
    says = f"Only rows with a value of {quoted([feature.name])} that X does not hold look wrong:"
    return _where(lab, "category-differs", says, [feature.name], unseen, "differing rows hold one")


def _equal(a: Array, b: Array) -> bool:
    return bool(np.asarray((a == b) | ((a != a) & (b != b))).all())


def _where(lab: Lab, code: str, says: str, columns: Sequence[str], inside: Array, ends: str) -> list[Cause]:
    """Nearly all that differ are in a place, most of what is there differs, and it is not everywhere."""
    explains, share = int((inside & lab.wrong).sum()), float(inside.mean())
    few = explains < CONVINCES * lab.wrong.sum() or 2 * explains < inside.sum()
    if few or share > 0.7 or by_accident(explains, share):
        return []
    return [lab.cause(code, says, columns, explains, ends)]
