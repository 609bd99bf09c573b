"""The golden set: request bodies and what the original pipeline says to them, one JSON line each."""

from __future__ import annotations

import contextlib
import gzip
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tenon import wire
from tenon.compare import OF_DATA, Sample
from tenon.inputs import Array, Input
from tenon.samples import choose
from tenon.signature import Output

HOLDOUT_ROWS = 1000
"""Ten rows would miss a fault of 0.7 % of the rows 93 times in 100; a thousand miss it once in a thousand."""
MADE_ROWS = {"boundary": 300, "coverage": 300}
EDGE_ROWS = 200
"""At most, for each other kind of edge row, spread evenly over the inputs."""
SIZES = (1, 2, 7, 50)
ALL_AT_ONCE = 500
LEAST_ROWS = 64
"""Of hold-out rows where a row is as wide as an image."""
ALL_VALUES = 2_000_000
"""In all hold-out rows, unless they are fewer than 64; some 40 MB of JSON before gzip."""
VALUES = 250_000
"""In one body at most, so that a line stays below a few MB however wide the rows are."""


def select(samples: Sequence[Sample], inputs: Sequence[Input], outputs: Sequence[Output]) -> list[Sample]:
    """The rows of the samples that travel: stratified hold-out rows, and a spread of the made-up ones."""
    most = min(HOLDOUT_ROWS, max(LEAST_ROWS, ALL_VALUES // width(inputs)))
    chosen = []
    for sample in samples:
        if sample.why in OF_DATA:
            rows = stratified(sample, outputs, most)
        else:
            limit = min(most, MADE_ROWS.get(sample.why, EDGE_ROWS))
            rows = np.unique(np.linspace(0, len(sample) - 1, min(limit, len(sample))).astype(int))
        picked = choose(sample, rows)
        if picked is not None:
            chosen.append(picked)
    return chosen


@dataclass(frozen=True)
class Size:
    """Of a golden set: its rows, the answers that it holds to them alone and together, and the largest body."""

    rows: int = 0
    answers: int = 0
    largest: int = 0

    def __str__(self) -> str:
        bodies = f"in bodies of up to {self.largest}" if self.largest > 1 else "again"
        return f"{self.answers} answers to {self.rows} rows, sent alone and {bodies}"


def size(samples: Sequence[Sample], inputs: Sequence[Input]) -> Size:
    """The size of the golden set that is written of these samples."""
    sizes = [stop - start for _, start, stop in cuts(samples, inputs)]
    return Size(sum(map(len, samples)), sum(sizes), max(sizes))


def width(inputs: Sequence[Input]) -> int:
    """Values in one row."""
    return sum(i.width or 1 for i in inputs)


def stratified(sample: Sample, outputs: Sequence[Output], limit: int) -> Array:
    """Positions of at most `limit` rows that hold every label, or every tenth of the predictions, in its share.

    Small strata keep five rows. The draw is seeded: the same frame gives the same rows.
    """
    if len(sample) <= limit:
        return np.arange(len(sample))
    values = sample.expected[outputs[0].name]
    if outputs[0].kind == "label":
        strata = np.unique(values.astype(str), return_inverse=True)[1]
    else:
        strata = np.searchsorted(np.nanquantile(values, np.arange(1, 10) / 10), values)
    names, sizes = np.unique(strata, return_counts=True)
    shares = _shares(sizes, limit)
    random = np.random.default_rng(0)
    picked = [random.permutation(np.flatnonzero(strata == n))[:k] for n, k in zip(names, shares, strict=True)]
    return np.sort(np.concatenate(picked))


def _shares(sizes: Array, limit: int) -> Array:
    """How many of each stratum: its part of the limit, but five if it has them, and `limit` together."""
    parts = limit * sizes / sizes.sum()
    shares: Array = np.minimum(np.maximum(5, parts.astype(int)), sizes)
    while shares.sum() < limit:
        shares[np.argmax(np.where(shares < sizes, parts - shares, -np.inf))] += 1
    while shares.sum() > limit:
        shares[np.argmax(shares)] -= 1
    return shares


def write(
    folder: Path, samples: Sequence[Sample], inputs: Sequence[Input], outputs: Sequence[Output]
) -> None:
    """Writes requests.jsonl.gz and answers.jsonl.gz line by line."""
    folder.mkdir()
    with _lines(folder / "requests.jsonl.gz") as requests, _lines(folder / "answers.jsonl.gz") as answers:
        held: Sample | None = None
        for number, (sample, start, stop) in enumerate(cuts(samples, inputs)):
            row_form, permuted = number % 2 == 0, number % 3 == 2
            if sample is not held:  # a column costs more than its values: each is taken out of the frame once
                held, whole = sample, wire.columns_of(inputs, sample.frame)
            columns = {k: v[start:stop] for k, v in whole.items()}
            if permuted:
                columns = dict(reversed(columns.items()))
            said: Any = wire.answer_columns(outputs, {k: v[start:stop] for k, v in sample.expected.items()})
            body = {"instances": wire.rows_of(columns)} if row_form else {"inputs": columns}
            answer = {"predictions": wire.rows_of(said)} if row_form else {"outputs": said}
            name = f"g{number:05d}"
            requests.write((wire.dumps({"id": name, "why": sample.why, "body": body}) + "\n").encode())
            answers.write((wire.dumps({"id": name, **answer}) + "\n").encode())


def cuts(samples: Sequence[Sample], inputs: Sequence[Input]) -> Iterator[tuple[Sample, int, int]]:
    """The bodies, as the sample that each is of, its first row and the one behind its last.

    Each sample is cut into bodies of 1, 2, 7 and 50 rows in turn; then come hold-out rows all at once.
    """
    most = max(1, VALUES // width(inputs))
    for sample in samples:
        sizes, start = itertools.cycle(SIZES), 0
        while start < len(sample):
            stop = min(start + min(next(sizes), most), len(sample))
            yield sample, start, stop
            start = stop
    yield samples[0], 0, min(len(samples[0]), ALL_AT_ONCE, most)


@contextlib.contextmanager
def _lines(path: Path) -> Iterator[gzip.GzipFile]:
    """A gzip file without name and time, so that the same lines are the same bytes."""
    with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as lines:
        yield lines
