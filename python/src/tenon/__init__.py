"""tenon's Python kit: export a fitted pipeline exactly, push it, and predict from a DataFrame.

`export` writes a bundle only if the graph in it answers as the pipeline does, and `check` says beforehand what it
would say; `bundle` does the same for any `.onnx` beside its truth; `quantize` makes a bundle smaller, if it still
agrees; `push` brings a bundle to a server; `Client` asks one.
"""

from __future__ import annotations

from tenon.bare import bundle
from tenon.bundlefile import Bundle
from tenon.checked import Check
from tenon.client import Client
from tenon.environment import version as _version
from tenon.errors import DeployError, ExportError, Finding, ParityError, ServerError, TenonError, TenonWarning
from tenon.exporting import export
from tenon.lint import check
from tenon.quantizer import Quantized, quantize
from tenon.upload import Version, push

__version__ = _version()

__all__ = [
    "Bundle",
    "Check",
    "Client",
    "DeployError",
    "ExportError",
    "Finding",
    "ParityError",
    "Quantized",
    "ServerError",
    "TenonError",
    "TenonWarning",
    "Version",
    "bundle",
    "check",
    "export",
    "push",
    "quantize",
]
