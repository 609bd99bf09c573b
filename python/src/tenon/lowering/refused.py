"""Steps that no graph holds faithfully, each with the sentence that says why and what to do instead.

`refuse` looks at every step of a pipeline, at any depth, before anything is lowered or converted, so that no
converter behind another step lets one through. `waiting` has the steps that may pass once a converter is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import KNNImputer

# Its public door wants an experimental switch, which would be thrown for the user's whole process.
from sklearn.impute._iterative import IterativeImputer
from sklearn.preprocessing import SplineTransformer

from tenon.errors import ExportError

_TEXT = (
    "{name} cuts text into words, which in a graph is right for ASCII only, and a hold-out set may not show that: "
    "count the words before the pipeline and pass them as columns of numbers, or bring graph and truth yourself with "
    "tenon.bundle(model, X, expected=answers)"
)
_HASH = (
    "{name} turns records into a matrix, which has no place in a request of columns: make one column of numbers or "
    "text for each key, and encode text with OneHotEncoder"
)
_RANDOM = (
    "{name}({setting}) draws at random for each request, so that no two answers agree: use {instead}, whose answers "
    "are the same every time"
)


def _always(sentence: str) -> Callable[[Any], str]:
    return lambda step: sentence.format(name=type(step).__name__)


def _random_label(step: DummyClassifier) -> str | None:
    if step.strategy not in ("stratified", "uniform"):
        return None
    setting = f"strategy={step.strategy!r}"
    return _RANDOM.format(name="DummyClassifier", setting=setting, instead='strategy="prior"')


def _random_filling(step: IterativeImputer) -> str | None:
    if not step.sample_posterior:
        return None
    name, instead = "IterativeImputer", "SimpleImputer"
    return _RANDOM.format(name=name, setting="sample_posterior=True", instead=instead)


REFUSED: dict[type, Callable[[Any], str | None]] = {
    CountVectorizer: _always(_TEXT),
    DictVectorizer: _always(_HASH),
    DummyClassifier: _random_label,
    FeatureHasher: _always(_HASH),
    HashingVectorizer: _always(_TEXT),
    IterativeImputer: _random_filling,
    TfidfVectorizer: _always(_TEXT),
}
"""By class, and for its subclasses too: what is wrong with a step, None if its settings are harmless."""

WAITING: dict[type, str] = {
    IterativeImputer: "fit SimpleImputer in its place, with add_indicator=True perhaps",
    KNNImputer: "fit SimpleImputer in its place, with add_indicator=True perhaps",
    SplineTransformer: "fit KBinsDiscretizer or PolynomialFeatures in its place",
}
"""What is not lowered yet, with the remedy; such a step passes only if the converted graph answers alike."""


def refuse(pipeline: Any) -> None:
    """ExportError for the first step, at any depth, that can never be served."""
    for sentence in refusals(pipeline):
        raise ExportError(sentence)


def refusals(pipeline: Any) -> Iterator[str]:
    """A sentence for each step, at any depth, that can never be served."""
    for step in steps_of(pipeline):
        said = refusal(step)
        if said is not None:
            yield said


def refusal(step: Any) -> str | None:
    """Why one step can never be served, and what to do; None if it may."""
    for kind in type(step).__mro__:
        said = REFUSED[kind](step) if kind in REFUSED else None
        if said is not None:
            return said
    return None


def steps_of(pipeline: Any) -> Iterator[Any]:
    """The pipeline and everything that it was built from."""
    yield pipeline
    if hasattr(pipeline, "get_params") and not isinstance(pipeline, type):
        yield from pipeline.get_params(deep=True).values()


def waiting(step: Any) -> str | None:
    """Why a step is not lowered yet and what to do, if it is one of those that we know."""
    remedy = WAITING.get(type(step))
    return None if remedy is None else f"{type(step).__name__} is not lowered yet ({remedy})"
