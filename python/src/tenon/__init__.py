"""tenon's Python kit: export a fitted pipeline exactly, push it, and predict from a DataFrame.

`export` writes a bundle only if the graph in it answers as the pipeline does; `bundle` does the same for any
`.onnx` beside its truth; `quantize` makes a bundle smaller, if it still agrees; `push` brings a bundle to a
server; `Client` asks one.
"""

from __future__ import annotations

from tenon.bare import bundle
from tenon.bundlefile import Bundle
from tenon.client import Client
from tenon.errors import ExportError, ParityError, ServerError, TenonError
from tenon.exporter import export
from tenon.quantizer import Quantized, quantize
from tenon.upload import Version, push

__all__ = [
    "Bundle",
    "Client",
    "ExportError",
    "ParityError",
    "Quantized",
    "ServerError",
    "TenonError",
    "Version",
    "bundle",
    "export",
    "push",
    "quantize",
]
