"""Distributions that a test installs: a dist-info folder and a module, as pip would leave them, on the path."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest
from core_messaging_cli import plugin_commands
from core_messaging_cli.plugin_commands import announced

from core_messaging.discovery.entry_points import all_points, points_of
from core_messaging.plugins import manager


class Install(Protocol):
    """Installs distribution *dist*: a module of *source* as the plugin *name* (the distribution's, if not given)."""

    def __call__(
        self, dist: str, source: str, name: str | None = None, *, commands: Mapping[str, str] | None = None
    ) -> None: ...


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only the distributions a test installs; the entry points read anew."""
    modules = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    for name in ("CORE_PLUGINS", "CORE_PLUGINS_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    real = manager.entry_points
    all_points.cache_clear()
    announced.cache_clear()
    ours = tuple(point.name for point in real())
    all_points.cache_clear()
    monkeypatch.setattr(manager, "entry_points", lambda: tuple(p for p in real() if p.name not in ours))
    offered = points_of
    foreign = lambda group: [p for p in offered(group) if p.distribution != "core-messaging"]  # noqa: E731
    monkeypatch.setattr(plugin_commands, "points_of", foreign)
    yield
    all_points.cache_clear()
    announced.cache_clear()
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def install(alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def add(
        dist: str, source: str, name: str | None = None, *, commands: Mapping[str, str] | None = None
    ) -> None:
        module = dist.replace("-", "_")
        meta = site / f"{module}-1.0.dist-info"
        meta.mkdir()
        (meta / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        lines = ["[core.plugins]", f"{name or dist} = {module}", "[core.commands]"]
        lines += [f"{command} = {value}" for command, value in (commands or {}).items()]
        (meta / "entry_points.txt").write_text("\n".join(lines))
        (site / f"{module}.py").write_text(source)

    return add
