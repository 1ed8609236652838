"""A plugin's own section of pyproject.toml, with the environment on top, validated."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from core_messaging.errors import ConfigurationError, CoreMessagingError, PluginError
from core_messaging.project import Project
from core_messaging.settings import Settings
from core_messaging.tracing import clocked

if TYPE_CHECKING:
    from core_messaging.plugins import PluginReport


def sections_of(root: Path) -> dict[str, dict[str, Any]]:
    """The tables ``[tool.core.plugins.NAME]`` of the project in *root*, by plugin. Raises ConfigurationError."""
    found = Project(root).tool_core().get("plugins", {})
    return found if isinstance(found, dict) else {}


def configure(report: PluginReport, section: Mapping[str, Any], settings: Settings) -> None:
    """Call the plugin's ``configure`` with its *section*, if it has one. Raises ConfigurationError, PluginError."""
    if "configure" not in report.hooks:
        if section:
            raise ConfigurationError(
                f"[tool.core.plugins.{report.name}] is set, but plugin {report.name} ({report.label}) takes no "
                "configuration; remove the section"
            )
        return
    prefix = f"CORE_PLUGIN_{report.name.upper().replace('-', '_')}_"
    given = {n[len(prefix) :].lower(): v for n, v in os.environ.items() if n.startswith(prefix)}
    kind = getattr(report.plugin, "core_config", dict[str, Any])
    try:
        config = msgspec.convert({**section, **given}, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"plugin {report.name} ({report.label}): {error}; mend [tool.core.plugins.{report.name}] or {prefix}..."
        ) from error
    function = report.plugin.configure
    facts = {"config": config, "settings": settings}
    try:
        with clocked(report.took, "configure"):
            function(**{name: facts[name] for name in inspect.signature(function).parameters})
    except (KeyboardInterrupt, CoreMessagingError):
        raise
    except BaseException as error:
        raise PluginError(
            f"plugin {report.name} ({report.label}): configure raised {type(error).__name__}: {error}; mend "
            f"[tool.core.plugins.{report.name}], or start with --disable-plugin {report.name}"
        ) from error
