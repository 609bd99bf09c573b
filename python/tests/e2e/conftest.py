"""One server for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from serving import Served, serve


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from serve(tmp_path_factory.mktemp("served"))
