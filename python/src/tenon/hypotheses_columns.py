"""Hypotheses on columns: another order or scale, what stands for a missing value, a category that is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tenon.diagnose import CONVINCES, Cause, Feature, Lab, by_accident, quoted
from tenon.inputs import SENTINEL, Array
from tenon.samples import UNSEEN

COLUMNS = 24
"""That are solved for, or looked at for being ignored."""
STEPS = 9
"""Of the secant method."""


def columns_reordered(lab: Lab) -> list[Cause]:
    """All columns of a kind in another order; an order that moves two columns is a swap."""
    for text in (False, True):
        kind = [f for f in lab.features if f.is_text == text]
        by_name, turned, names = (
            sorted(kind, key=lambda f: f.name),
            kind[1:] + kind[:1],
            [f.name for f in kind],
        )
        for says, targets, sources in (
            ("rotated by one place", kind, turned), ("rotated by one place", turned, kind),
            ("in reverse", kind, kind[::-1]),
            ("sorted by name", kind, by_name), ("sorted by name", by_name, kind),
        ):  # fmt: skip
            order = {a: lab.column(b) for a, b in zip(targets, sources, strict=True) if a != b}
            if len(order) > 2:
                with np.errstate(invalid="ignore"):
                    got = lab.answers(lab.edited(order))
                said = f"Columns {quoted(names)} look {says}: with them put back,"
                if found := lab.judged("columns-reordered", said, names[:50], got):
                    return found
    return []


def input_ignored(lab: Lab) -> list[Cause]:
    """Rows that differ in one column alone get one answer here, and two from the pipeline."""
    found, ends = [], "pairs of rows that differ only there have one answer here, and two from the pipeline"
    for f in lab.features[:COLUMNS]:
        one, of = _twins(lab, f)
        if one >= 3 and one >= CONVINCES * of and _dead(lab, f):
            says = f"Column {quoted([f.name])} looks ignored: changing it changes no answer, and"
            detail = f"{says} {one} of {of} {ends}."
            found.append(Cause("input-ignored", detail, (f.name,), one, of))
    return found if 2 * len(found) <= len(lab.features) else []


def _dead(lab: Lab, f: Feature) -> bool:
    """Whether no other value of a column changes an answer."""
    values = lab.column(f, lab.base)
    others = lab.known(f)[:3] if f.is_text else [np.nanmin(values), np.nanmax(values)]
    for value in others:
        got = lab.answers(lab.edited({f: np.full(len(lab.wrong), value, dtype=values.dtype)}))
        if got is None or not lab.alike(got).all():
            return False
    return bool(others)


def _twins(lab: Lab, f: Feature) -> tuple[int, int]:
    """Of pairs of rows that differ in one column and have two answers from the pipeline, how many have one here."""
    feeds, want, got = lab.whole
    others = {g: lab.column(g, feeds) for g in lab.features if g != f}
    table = pd.DataFrame(
        {i: v for i, v in enumerate(others.values())}, index=range(len(lab.column(f, feeds)))
    )
    keys = pd.util.hash_pandas_object(table, index=False) if others else pd.Series(0, index=table.index)
    first = keys.groupby(keys).transform(lambda k: k.index[0]).to_numpy()
    later = np.flatnonzero(first != np.arange(len(first)))
    if not len(later):
        return 0, 0
    two = later[~lab.alike_rows(want, first[later], later)]
    return int(lab.alike_rows(got, first[two], two).sum()) if len(two) else 0, len(two)


def imputed_otherwise(lab: Lab) -> list[Cause]:
    """With a constant in place of a missing value, the rows answer as the pipeline did."""
    lacking = {f: lab.missing(f) for f in lab.features if not f.is_text and lab.column(f).dtype.kind == "f"}
    total = sum(lacking.values(), start=np.zeros(len(lab.wrong), dtype=int))
    fills: dict[Feature, float] = {}
    for f, gone in lacking.items():
        alone = np.flatnonzero(gone & lab.wrong & (total == 1))[:6]
        value = _filling(lab, f, alone) if len(alone) else None
        if value is not None:
            fills[f] = value
    if not fills:
        return []
    names = [f.name for f in fills]
    nothing = np.any(
        [np.isnan(v).reshape(len(v), -1).any(axis=1) for v in lab.got.values() if v.dtype.kind == "f"], axis=0
    )
    gone = np.any([lacking[f] for f in fills], axis=0) & lab.wrong
    dropped = bool(nothing[gone].all())
    code, looks = (
        ("imputer-dropped", "left as they are, without an imputer")
        if dropped
        else ("imputed-otherwise", "filled otherwise")
    )
    with_ = ", ".join(f'{v:.6g} in "{f.name}"' for f, v in list(fills.items())[:3])
    says = f"Missing values of {quoted(names)} look {looks}: with {with_} in their place,"
    changes = {f: np.where(lacking[f], v, lab.column(f)) for f, v in fills.items()}
    return lab.judged(code, says, names, lab.answers(lab.edited(changes)), rough=True)


def _filling(lab: Lab, f: Feature, rows: Array) -> float | None:
    """The value in a column that makes rows answer as the pipeline did: of those of training, else solved for."""
    known = np.asarray(lab.column(f, lab.base), dtype=np.float64)
    known = known[np.isfinite(known)]
    modes, counts = np.unique(known, return_counts=True)
    if not len(known):
        return None
    for value in (
        np.mean(known),
        np.median(known),
        modes[counts.argmax()],
        0.0,
        -1.0,
        known.min(),
        known.max(),
    ):
        got = lab.answers(lab.edited({f: _with(lab, f, rows, float(value))}))
        if got is not None and lab.explained(got)[rows].all():
            return float(value)
    solved = _solved(lab, f, rows, np.full(len(rows), np.mean(known)))
    value = float(np.nanmedian(solved)) if np.isfinite(solved).any() else np.nan
    return value if np.isfinite(value) else None


def category_lost(lab: Lab) -> list[Cause]:
    """Rows with some categories differ, and answer as one that training has not seen."""
    found = []
    for f in (f for f in lab.features if f.is_text):
        values, known = lab.column(f), lab.known(f)
        ours = np.isin(values.astype(str), known) & (values != SENTINEL)
        got = lab.answers(lab.edited({f: np.where(ours, UNSEEN, values)}))
        if got is None:
            continue
        alike = lab.alike(got) & ours
        explains, lost = int((alike & lab.wrong).sum()), sorted(set(values[alike & lab.wrong].tolist()))
        right = max(int((~lab.wrong).sum()), 1)
        chance = by_accident(explains, float((alike & ~lab.wrong).sum()) / right)
        if explains >= max(2, CONVINCES * lab.wrong.sum()) and not chance and 2 * len(lost) <= len(known):
            looks = f"{quoted(lost)} looks answered like a category that training has not seen"
            says = f"Column {quoted([f.name])}: {looks}:"
            found.append(
                lab.cause(
                    "category-lost", says, (f.name,), explains, "differing rows hold it and are answered so"
                )
            )
    return found


def column_affine(lab: Lab) -> list[Cause]:
    """The values of one column that make rows answer as the pipeline did lie on a line over those there are."""
    found = []
    apart = np.nan_to_num(np.abs(lab.residual(lab.got)), nan=np.inf)
    for f in [f for f in lab.features if not f.is_text and lab.column(f).dtype.kind == "f"][:COLUMNS]:
        values, base = lab.column(f).astype(np.float64), np.asarray(lab.column(f, lab.base), dtype=np.float64)
        usual = lab.wrong & (values >= np.nanmin(base)) & (values <= np.nanmax(base)) & np.isfinite(apart)
        rows = np.flatnonzero(usual)
        rows = rows[np.argsort(apart[rows], kind="stable")][:12]
        solved = _solved(lab, f, rows, values[rows])
        x, y = values[rows][np.isfinite(solved)], solved[np.isfinite(solved)]
        mean, std = float(np.nanmean(base)), float(np.nanstd(base)) or 1.0
        if len(x) < 4 or np.ptp(x) == 0:
            continue
        a, b = np.polyfit(x, y, 1)
        if np.abs(a * x + b - y).max() > 1e-2 * std * max(1, abs(a)) or abs(a) < 1e-9:
            continue
        code, says = _affine(f.name, float(a), float(b), mean, std)
        feeds = lab.edited({f: a * values + b})
        found += lab.judged(code, says, (f.name,), lab.answers(feeds), rough=True)
    return found


def _affine(name: str, a: float, b: float, mean: float, std: float) -> tuple[str, str]:
    """What a line through the values means."""
    what = f"Column {quoted([name])} looks"
    if abs(a - 1) < 1e-3:
        return "column-shifted", f"{what} shifted (its mean is {mean:.6g}): with {b:.6g} added,"
    if abs(b) < 1e-3 * std * max(1, abs(a)):
        return "column-unit", f"{what} given in another unit: multiplied by {a:.6g},"
    return "column-scaled", f"{what} scaled by other data: multiplied by {a:.6g}, and {b:.6g} added,"


def scaled_otherwise(lab: Lab) -> list[Cause]:
    """The difference is a weighted sum of columns."""
    terms, owners, usual = _terms(lab)
    design = np.column_stack([np.ones(len(lab.wrong)), *terms])
    usual &= np.isfinite(design).all(axis=1)
    for o in lab.outputs:
        want, got = lab.scores(o, lab.want), lab.scores(o, lab.got)
        if want is None or got is None or want.shape != got.shape:
            continue
        rows = usual & np.isfinite(want - got).all(axis=1)
        if rows.sum() < 2 * design.shape[1] + 10:
            continue
        apart = (want - got)[rows]
        weights = np.linalg.lstsq(design[rows], apart, rcond=None)[0]
        noise = 0.0 if lab.got[o.name].dtype == np.float64 else 1e-6 * lab.scale(o)
        most = float(np.abs(apart).max())
        explains = int((np.abs(design[rows] @ weights - apart) <= 1e-5 * most + noise).all(axis=1).sum())
        heavy = np.abs(weights[1:]).max(axis=1)
        names = list(
            dict.fromkeys(n for n, w in zip(owners, heavy, strict=True) if w > 1e-4 * heavy.max(initial=0))
        )
        if names and most > 10 * noise and explains >= CONVINCES * rows.sum():
            says = f"The difference looks like a weighted sum of {quoted(names)}"
            ends = f"{explains} of {int(rows.sum())} rows are off by just that."
            detail = f"{says}, which are scaled or weighed otherwise: {ends}"
            return [Cause("scaled-otherwise", detail, tuple(names), explains, int(rows.sum()))]
    return []


def _terms(lab: Lab) -> tuple[list[Array], list[str], Array]:
    """The columns of a linear model, whose they are, and the rows in the range of the hold-out rows."""
    terms, owners, usual = [], [], np.ones(len(lab.wrong), dtype=bool)
    for f in lab.features:
        values, base = lab.column(f), lab.column(f, lab.base)
        if f.is_text:
            some = lab.known(f)[1:COLUMNS]
            terms += [(values == c).astype(np.float64) for c in some]
            owners += [f.name] * len(some)
            usual &= np.isin(values.astype(str), lab.known(f))
            continue
        wide = np.asarray(base, dtype=np.float64)
        terms.append((values.astype(np.float64) - np.nanmean(wide)) / (np.nanstd(wide) or 1.0))
        owners.append(f.name)
        usual &= np.asarray((values >= np.nanmin(wide)) & (values <= np.nanmax(wide)), dtype=bool)
    return terms, owners, usual


def _with(lab: Lab, f: Feature, rows: Array, values: Array | float) -> Array:
    column = lab.column(f).copy()
    column[rows] = values
    return column


def _solved(lab: Lab, f: Feature, rows: Array, start: Array) -> Array:
    """By row, the value of a column with which it answers as the pipeline did, by the secant method; NaN for none."""
    base = np.asarray(lab.column(f, lab.base), dtype=np.float64)
    width = float(np.nanstd(base)) or 1.0
    at, before, was = start.astype(np.float64), np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    best, least = np.full(len(rows), np.nan), np.full(len(rows), np.inf)
    for step in range(STEPS):
        got = lab.answers(lab.edited({f: _with(lab, f, rows, at)}))
        if got is None:
            break
        off, good = lab.residual(got)[rows], lab.explained(got)[rows]
        nearer = good & (np.abs(off) < least)
        best, least = np.where(nearer, at, best), np.where(nearer, np.abs(off), least)
        with np.errstate(all="ignore"):
            move = np.full(len(rows), 0.1 * width) if step == 0 else -off * (at - before) / (off - was)
        move = np.clip(np.where(np.isfinite(move) & (off != 0), move, 0), -100 * width, 100 * width)
        before, was, at = at, off, at + move
    return best
