"""Lays out a checked export as a bundle: model, signature, golden set, profile, environment, model card."""

from __future__ import annotations

import datetime
import json
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tenon import golden
from tenon.bundlefile import Bundle, write
from tenon.compare import Sample
from tenon.coverage import Feed, Reach
from tenon.environment import environment, kit
from tenon.inputs import Array, Rows, feeds
from tenon.profile import profile
from tenon.signature import Signature


def package(
    path: Path,
    *,
    name: str,
    task: str,
    description: str,
    model: bytes,
    signature: Signature,
    samples: Sequence[Sample],
    training: tuple[Rows, Mapping[str, Array]],
    notes: Sequence[str],
    feed: Feed | None = None,
) -> Bundle:
    """Writes the bundle; `samples` hold only rows that the model answered right.

    `feed` turns rows into the graph's tensors, where that is not one tensor an input.
    """
    frame, answers = training
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "model.onnx").write_bytes(model)
        _write_json(folder / "signature.json", signature.to_json())
        _write_json(folder / "profile.json", profile(signature, frame, answers))
        _write_json(folder / "environment.json", environment())
        chosen = golden.select(samples, signature.inputs, signature.outputs)
        size = golden.size(chosen, signature.inputs)
        golden.write(folder / "golden", chosen, signature.inputs, signature.outputs)
        reach = Reach(model, signature, frame, feed or partial(feeds, signature.inputs))
        _write_json(folder / "golden" / "coverage.json", reach.report(chosen))
        card = _card(name, task, description, signature, [*notes, f"The golden set holds {size}."])
        (folder / "README.md").write_text(card, encoding="utf-8")
        head = {
            "bundle": 1,
            "name": name,
            "task": task,
            "description": description,
            "tags": {},
            "metrics": {},
            "kit": kit(),
            # Microseconds, because two exports are two versions, even in one second.
            "created": datetime.datetime.now(datetime.UTC)
            .isoformat(timespec="microseconds")
            .replace("+00:00", "Z"),
        }
        return write(path, head, folder)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(
        json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n", encoding="utf-8"
    )


def _card(name: str, task: str, description: str, signature: Signature, notes: Sequence[str]) -> str:
    """A short model card for people."""
    lines = [f"# {name}", "", f"{task.capitalize()}: {description}.", "", *notes, ""]
    lines += ["| input | type | missing | unknown | range |", "|---|---|---|---|---|"]
    for column, policy in zip(signature.inputs, signature.policies, strict=True):
        unknown = "" if policy.domain is None else "refused" if policy.refuse_unknown else "accepted"
        shape = "" if column.width is None else f" × {column.width}"
        lines.append(
            f"| `{column.name}` | {column.type}{shape} | {'allowed' if policy.missing else 'refused'} | {unknown} "
            f"| {policy.within()} |"
        )
    lines += [f"| `{name}` | never read | | |" for name in signature.unused]
    lines += ["", "| output | type | tolerance |", "|---|---|---|"]
    for output in signature.outputs:
        said = (
            "exact"
            if output.tolerance is None
            else f"rel {output.tolerance['rel']:g}, abs {output.tolerance['abs']:g}"
        )
        lines.append(f"| `{output.name}` | {output.type} | {said} |")
    return "\n".join(lines) + "\n"
