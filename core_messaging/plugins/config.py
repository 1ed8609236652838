"""Reads the configuration of a plugin: its section of pyproject.toml, then environment variables; validates both."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from core_messaging.discovery.project import Project
from core_messaging.errors import ConfigurationError, CoreMessagingError, PluginError, cause_of, text_of
from core_messaging.plugins.call_timing import clocked
from core_messaging.plugins.hook_check import attribute_of
from core_messaging.rules.ports import Listening, problem
from core_messaging.settings import Settings, environment

if TYPE_CHECKING:
    from core_messaging.plugins.manager import PluginReport

logger = logging.getLogger("core_messaging.plugins")


def sections_of(root: Path) -> dict[str, dict[str, Any]]:
    """Return the tables ``[tool.core.plugins.NAME]`` of the project in *root*, by plugin. Raises ConfigurationError."""
    found = Project(root).tool_core().get("plugins", {})
    sections: dict[str, dict[str, Any]] = {}
    for name, section in found.items() if isinstance(found, dict) else [("", found)]:
        if not isinstance(section, dict):
            raise ConfigurationError(
                f"pyproject.toml: tool.core.plugins{name and '.' + name} is of type {type(section).__name__} and has to be a table; write "
                f"[tool.core.plugins.{name or 'NAME'}] and its fields below"
            )
        sections[name] = section
    return sections


def warn_of_unknown(sections: Iterable[str], plugins: Sequence[str]) -> None:
    """Log a warning for each section that belongs to no plugin: it configures nothing."""
    for name in sorted(set(sections).difference(plugins)):
        nearest = get_close_matches(name, plugins, n=1)
        logger.warning(
            "pyproject.toml: [tool.core.plugins.%s] is for no plugin that is installed%s",
            name,
            f"; did you mean {nearest[0]!r}?" if nearest else "",
            extra={"plugin": name, "action": "unknown section"},
        )


def warn_of_misspelt_variables(reports: Sequence[PluginReport], settings: Settings) -> None:
    """Log a warning for each environment variable that resembles one of a plugin: it configures nothing."""
    known = [variable for report in reports for variable in _variables_of(report)]
    # The fields of these plugins are not known: they take any field, or are not loaded.
    open_prefixes = tuple(prefix_of(report.name) for report in reports if not _variables_of(report))
    for name in sorted(environment(settings)):
        if name in known or not name.upper().startswith("CORE_PLUGIN_") or name.startswith(open_prefixes):
            continue
        if nearest := get_close_matches(name.upper(), known, n=1, cutoff=0.9):
            logger.warning(
                "%s in the environment or .env belongs to no plugin that is installed; did you mean %s?",
                name,
                nearest[0],
                extra={"action": "unknown variable"},
            )


def _variables_of(report: PluginReport) -> list[str]:
    """Return the environment variables of a plugin's fields; an empty list if the plugin does not declare its fields."""
    kind = attribute_of(report.plugin, "core_config") if report.usable else None
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return []
    return [prefix_of(report.name) + field.upper() for field in kind.__struct_encode_fields__]


def refuse_unavailable(
    report: PluginReport, section: Mapping[str, Any], settings: Settings, plugins: Iterable[str]
) -> None:
    """Refuse the configuration of an unavailable plugin: its user relies on it, for example on its port.

    Raises PluginError.
    """
    prefix = prefix_of(report.name)
    # CORE_PLUGIN_DROP_DUPLICATES_TOPIC belongs to "drop-duplicates", not to a plugin "drop".
    longer = tuple(prefix_of(name) for name in plugins if prefix_of(name) != prefix)
    longer = tuple(other for other in longer if other.startswith(prefix))
    variables = [n for n in environment(settings) if n.startswith(prefix) and not n.startswith(longer)]
    if section or variables:
        where = f"[tool.core.plugins.{report.name}]" if section else ", ".join(sorted(variables))
        raise PluginError(
            f"plugin {report.name} ({report.label}) is configured by {where} and unavailable: {report.cause}; "
            f"install what it needs, or remove the configuration, or start with --disable-plugin {report.name}"
        )


def prefix_of(plugin: str) -> str:
    """Return the prefix of the environment variables of *plugin*."""
    return f"CORE_PLUGIN_{plugin.upper().replace('-', '_')}_"


def configure(report: PluginReport, section: Mapping[str, Any], settings: Settings) -> None:
    """Call the plugin's ``configure`` with its *section*, if it has one. Raises ConfigurationError, PluginError."""
    if "configure" not in report.hooks:
        if section:
            raise ConfigurationError(
                f"[tool.core.plugins.{report.name}] is set, but plugin {report.name} ({report.label}) takes no "
                "configuration; remove the section"
            )
        return
    config = config_of(report, section, settings)
    function = report.plugin.configure
    facts = {"config": config, "settings": settings}
    try:
        with clocked(report.took, "configure"):
            function(**{name: facts[name] for name in inspect.signature(function).parameters})
    except (KeyboardInterrupt, CoreMessagingError):
        raise
    except BaseException as error:
        raise PluginError(
            f"plugin {report.name} ({report.label}): configure raised {cause_of(error)}; correct "
            f"[tool.core.plugins.{report.name}], or start with --disable-plugin {report.name}"
        ) from error


def refuse_shared_ports(
    reports: Iterable[PluginReport],
    sections: Mapping[str, Mapping[str, Any]],
    settings: Settings,
    processes: int,
) -> None:
    """Refuse two plugins that listen on the same port in *processes* processes: the second one could not start.

    A plugin tells where it listens by ``core_ports(config)``, which returns pairs of host and port.

    Raises ConfigurationError.
    """
    listening = []
    for report in reports:
        core_ports = attribute_of(report.plugin, "core_ports") if report.usable else None
        if core_ports is not None:
            config = config_of(report, sections.get(report.name, {}), settings)
            listening += _listening(report, core_ports, config)
    if wrong := problem(listening, processes):
        raise ConfigurationError(wrong)


def _listening(report: PluginReport, core_ports: Callable[[Any], Any], config: Any) -> list[Listening]:
    try:
        return [Listening(report.name, host, port) for host, port in core_ports(config)]
    except Exception as error:
        raise PluginError(
            f"plugin {report.name} ({report.label}): core_ports raised {type(error).__name__}: {text_of(error)}; its "
            f"author has to correct it, or start with --disable-plugin {report.name}"
        ) from error


def config_of(report: PluginReport, section: Mapping[str, Any], settings: Settings) -> Any:
    """Return *section*, overridden by environment variables, as the plugin's type ``core_config``.

    Raises ConfigurationError.
    """
    prefix = prefix_of(report.name)
    kind = attribute_of(report.plugin, "core_config", dict[str, Any])
    variables = environment(settings)
    given = {n[len(prefix) :].lower(): v for n, v in variables.items() if n.startswith(prefix)}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        # CORE_PLUGIN_DROP_DUPLICATES_TOPIC is a field of "drop-duplicates", not of a plugin "drop".
        given = {name: value for name, value in given.items() if name in kind.__struct_encode_fields__}
    try:
        return msgspec.convert({**section, **given}, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"plugin {report.name} ({report.label}): {error}; correct [tool.core.plugins.{report.name}] or {prefix}..."
        ) from error
