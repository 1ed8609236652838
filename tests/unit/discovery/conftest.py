"""A folder without a project, and no trace of the modules that a test imports."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core_messaging.discovery.entry_points import all_points
from core_messaging.worker import defined


@pytest.fixture
def untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of one test is known to the next: defined workers, imported modules, the entry points read once."""
    before, modules = dict(defined), set(sys.modules)
    defined.clear()
    all_points.cache_clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    defined.clear()
    defined.update(before)
    all_points.cache_clear()
    for name in set(sys.modules) - modules:
        del sys.modules[name]
