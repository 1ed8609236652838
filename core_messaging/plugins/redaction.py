"""Calls the ``redact`` hooks of all plugins before a message is shown. If one fails, key and value are hidden."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from core_messaging.errors import PluginError, text_of
from core_messaging.plugins.hook_check import positional
from core_messaging.plugins.manager import PluginReport, Plugins, load
from core_messaging.settings import Settings

logger = logging.getLogger("core_messaging.plugins")

Shown = tuple[bytes | None, bytes | None]  # a key and a value
Redact = Callable[[str, bytes | None, bytes | None], Shown]

HIDDEN = b"(hidden: a plugin's redact failed)"


def nothing_hidden(topic: str, key: bytes | None, value: bytes | None) -> Shown:  # noqa: ARG001 - the signature of Redact
    """Return *key* and *value*, because no plugin redacts."""
    return key, value


def installed_redaction(settings: Settings) -> Redact:
    """Return the redaction of the installed plugins. Raises PluginError if one cannot be loaded: it may be the one."""
    plugins = load(settings)
    lost = [report for report in plugins.report() if report.state in ("broken", "incompatible")]
    if lost:
        raise PluginError(_lost(lost[0]))
    return redaction_by(plugins)


def redaction_by(plugins: Plugins) -> Redact:
    """Return the redaction of *plugins*, which are loaded."""
    return redaction([(plugin, _with_all(function)) for plugin, function in plugins.redactors()])


def _lost(report: PluginReport) -> str:
    return (
        f"plugin {report.name} ({report.label}) is {report.said_state} ({report.cause}), and it may be the one that redacts "
        f"messages, so nothing is shown; correct it, or set CORE_PLUGINS_DISABLE={report.name}"
    )


def redaction(redactors: Sequence[tuple[str, Callable[..., Any]]]) -> Redact:
    """Return one function that calls all *redactors* in order (a plugin's name, and its function of topic, key, value)."""
    if not redactors:
        return nothing_hidden

    def redact(topic: str, key: bytes | None, value: bytes | None) -> Shown:
        for plugin, function in redactors:
            try:
                key, value = _checked(function(topic, key, value))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                logger.error(  # noqa: TRY400 - the traceback may hold the key or the value
                    "plugin %s: redact failed (%s: %s); the key and the value are not shown",
                    plugin,
                    type(error).__name__,
                    text_of(error) if isinstance(error, PluginError) else "its text is not shown either",
                    extra={"plugin": plugin, "action": "redact failed"},
                )
                return HIDDEN, HIDDEN
        return key, value

    return redact


def _with_all(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of all three arguments that calls *function* with those that it names."""
    names, by_position = positional(function)

    def redact(topic: str, key: bytes | None, value: bytes | None) -> Any:
        facts = {"topic": topic, "key": key, "value": value}
        return by_position(*[facts[name] for name in names])

    return redact


def _checked(shown: object) -> Shown:
    if isinstance(shown, tuple) and len(shown) == 2:  # noqa: PLR2004 - a key and a value
        key, value = shown
        if (key is None or isinstance(key, bytes)) and (value is None or isinstance(value, bytes)):
            return key, value
    raise PluginError("it returned no pair of bytes; return (key, value), each of them bytes or None")
