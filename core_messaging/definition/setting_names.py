"""Names that look like those of settings and are none: a misspelt one would leave the default in force, in silence."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

# How others call kafka_bootstrap_servers.
_SERVERS = "kafka_bootstrap_servers"
_OTHER_NAMES_OF_SERVERS = frozenset(
    f"kafka_{name}"
    for name in (
        *("address", "addresses", "bootstrap", "broker_list", "broker_url", "brokers", "brokers_url"),
        *("host", "hosts", "server", "servers", "uri", "url"),
    )
)
_PREFIXES = ("kafka_", "core_")
# Of 1: how alike two names have to be. A name with our prefix may well be meant for us; others are of other programs.
_ALIKE_WITH_PREFIX, _ALIKE = 0.85, 0.9
# Variables that we read and that are no settings; and those of plugins.
_OTHER_VARIABLES = frozenset(("core_plugins", "core_kafka_folder", "core_kafka_port"))
_OF_A_PLUGIN = "core_plugin_"


@dataclass(frozen=True, slots=True)
class Misspelt:
    """``name`` is as it was written; ``meant`` is the setting, in lower case. ``sure``: they differ by a few letters;
    otherwise it is a name that other programs use for the same."""

    name: str
    meant: str
    sure: bool


def misspelt(names: Iterable[str], settings: Collection[str]) -> Iterator[Misspelt]:
    """Those of *names*, however they are cased, that are none of *settings* and look like one."""
    for name in names:
        lower = name.lower()
        if lower in settings or lower in _OTHER_VARIABLES or lower.startswith(_OF_A_PLUGIN):
            continue
        if (meant := _nearest(lower, settings)) is not None:
            yield Misspelt(name, meant, sure=True)
        elif lower in _OTHER_NAMES_OF_SERVERS and _SERVERS in settings:
            yield Misspelt(name, _SERVERS, sure=False)


def _nearest(name: str, settings: Collection[str]) -> str | None:
    if name in _OTHER_NAMES_OF_SERVERS:
        return None
    for prefix in _PREFIXES:  # too many of them, or too few
        if name.removeprefix(prefix) in settings:
            return name.removeprefix(prefix)
        if prefix + name in settings:
            return prefix + name
    alike = _ALIKE_WITH_PREFIX if name.startswith(_PREFIXES) else _ALIKE
    return next(iter(get_close_matches(name, settings, n=1, cutoff=alike)), None)


def unread_constants(namespace: Mapping[str, object], settings: Collection[str]) -> list[str]:
    """Names of a module that are spelled as settings: ``KAFKA_BOOTSTRAP_SERVERS = "..."`` outside of a class."""
    return sorted(name for name in namespace if name.lower() in settings and not callable(namespace[name]))
