"""A plugin's own section of pyproject.toml, with the environment on top, validated."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from core_messaging.errors import ConfigurationError, CoreMessagingError, PluginError
from core_messaging.project import Project
from core_messaging.settings import Settings
from core_messaging.tracing import clocked

if TYPE_CHECKING:
    from core_messaging.plugins import PluginReport

logger = logging.getLogger("core_messaging.plugins")


def sections_of(root: Path) -> dict[str, dict[str, Any]]:
    """The tables ``[tool.core.plugins.NAME]`` of the project in *root*, by plugin. Raises ConfigurationError."""
    found = Project(root).tool_core().get("plugins", {})
    for name, section in found.items() if isinstance(found, dict) else [("", found)]:
        if not isinstance(section, dict):
            raise ConfigurationError(
                f"pyproject.toml: tool.core.plugins{name and '.' + name} is {section!r} and has to be a table; write "
                f"[tool.core.plugins.{name or 'NAME'}] and its fields below"
            )
    return cast("dict[str, dict[str, Any]]", found)


def warn_of_unknown(sections: Iterable[str], plugins: Sequence[str]) -> None:
    """A section that no plugin has would configure nothing, in silence."""
    for name in sorted(set(sections).difference(plugins)):
        nearest = get_close_matches(name, plugins, n=1)
        logger.warning(
            "pyproject.toml: [tool.core.plugins.%s] is for no plugin that is installed%s",
            name,
            f"; did you mean {nearest[0]!r}?" if nearest else "",
            extra={"plugin": name, "action": "unknown section"},
        )


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
    kind = getattr(report.plugin, "core_config", dict[str, Any])
    given = {n[len(prefix) :].lower(): v for n, v in os.environ.items() if n.startswith(prefix)}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        # CORE_PLUGIN_DROP_DUPLICATES_TOPIC is a field of "drop-duplicates", and none of a plugin "drop".
        given = {name: value for name, value in given.items() if name in kind.__struct_encode_fields__}
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
