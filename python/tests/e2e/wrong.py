"""Wrong exports: a right bundle whose graph is another, with a manifest that is consistent again.

So nothing but the comparison with the golden set, which is the right pipeline's, can tell.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tenon import Bundle
from tenon.bundlefile import MANIFEST, write
from tenon.draft import _outputs
from tenon.inputs import as_frame, describe
from tenon.lowering import lower


def lowered(pipeline: Any, X: Any, holdout: Any) -> bytes:
    """The graph that an export makes, without the export's check of it."""
    frame, held = as_frame(X, "X"), as_frame(holdout, "holdout")
    return lower(pipeline, describe(frame, held), _outputs(pipeline, frame, None)).model()


def with_files(bundle: Bundle, path: Path, **files: bytes) -> Bundle:
    """The bundle with some files replaced (a dot in a name is written `_`), and sizes and digests of what it holds."""
    replaced = {name.replace("_", "."): content for name, content in files.items()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with tarfile.open(bundle.path) as tar:
            tar.extractall(folder, filter="data")
        head = json.loads((folder / MANIFEST).read_bytes())
        (folder / MANIFEST).unlink()
        for name, content in replaced.items():
            assert (folder / name).exists(), name
            (folder / name).write_bytes(content)
        before = head.pop("files")
        written = write(path, head, folder)
    assert set(before) >= set(replaced)
    return written


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
