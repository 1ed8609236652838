"""Finds misspelt names of settings: the default would be used, and no message would say so."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

# Names of other programs for kafka_bootstrap_servers.
_SERVERS = "kafka_bootstrap_servers"
_OTHER_NAMES_OF_SERVERS = frozenset(
    f"kafka_{name}"
    for name in (
        *("address", "addresses", "bootstrap", "broker_list", "broker_url", "brokers", "brokers_url"),
        *("host", "hosts", "server", "servers", "uri", "url"),
    )
)
_PREFIXES = ("kafka_", "core_")
# How similar two names have to be (of 1). A name with one of these prefixes is more likely to be meant as a setting.
_ALIKE_WITH_PREFIX, _ALIKE = 0.85, 0.9
# Environment variables that are read and are no settings; and the prefix of those of plugins.
_OTHER_VARIABLES = frozenset(("core_plugins", "core_kafka_folder", "core_kafka_port"))
_OF_A_PLUGIN = "core_plugin_"


@dataclass(frozen=True, slots=True)
class Misspelt:
    """A misspelt name.

    ``name``: as it was written. ``meant``: the setting, in lower case. ``sure``: True if the two differ by a few letters;
    False if other programs use ``name`` for the same setting.
    """

    name: str
    meant: str
    sure: bool


def misspelt(names: Iterable[str], settings: Collection[str]) -> Iterator[Misspelt]:
    """Yield those of *names*, in any case, that are none of *settings* and resemble one."""
    for name in names:
        lower = name.lower()
        if lower in settings or lower in _OTHER_VARIABLES or _is_of_a_plugin(lower):
            continue
        if (meant := _nearest(lower, settings)) is not None:
            yield Misspelt(name, meant, sure=True)
        elif lower in _OTHER_NAMES_OF_SERVERS and _SERVERS in settings:
            yield Misspelt(name, _SERVERS, sure=False)


def _is_of_a_plugin(name: str) -> bool:
    """Whether *name* is ``core_plugin_NAME_FIELD``; ``core_plugin_disable`` is none, but a misspelt setting."""
    return name.startswith(_OF_A_PLUGIN) and "_" in name.removeprefix(_OF_A_PLUGIN)


def _nearest(name: str, settings: Collection[str]) -> str | None:
    if name in _OTHER_NAMES_OF_SERVERS:
        return None
    for prefix in _PREFIXES:  # a prefix too many, or one is missing
        if name.removeprefix(prefix) in settings:
            return name.removeprefix(prefix)
        if prefix + name in settings:
            return prefix + name
    alike = _ALIKE_WITH_PREFIX if name.startswith(_PREFIXES) else _ALIKE
    return next(iter(get_close_matches(name, settings, n=1, cutoff=alike)), None)


def unread_constants(namespace: Mapping[str, object], settings: Collection[str]) -> list[str]:
    """Return the names of a module that are spelled as settings: ``KAFKA_BOOTSTRAP_SERVERS = "..."`` outside a class."""
    return sorted(name for name in namespace if name.lower() in settings and not callable(namespace[name]))
