"""What plugins add under a name: brokers and codecs. A name that two of them claim is nobody's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from core_messaging.broker import Broker
from core_messaging.codecs import Codec
from core_messaging.definition.signatures import is_async, is_generator, why_uncallable
from core_messaging.errors import NotRegistered, PluginError, RegisteredTwice
from core_messaging.plugins.call_timing import clocked
from core_messaging.settings import Settings

BrokerFactory = Callable[[Settings], Broker]

Thing = TypeVar("Thing")

KAFKA = "kafka"  # the broker that needs no plugin
KINDS = {"register_brokers": "broker", "register_codecs": "codec"}


@dataclass(frozen=True, slots=True)
class Offer(Generic[Thing]):
    """What one plugin registers under *name*; ``label`` is its distribution and version."""

    name: str
    label: str
    thing: Thing


@dataclass(frozen=True, slots=True)
class Registered(Generic[Thing]):
    """Everything of one *kind*. ``broken``: plugins that may have registered it, had they been loaded."""

    kind: str
    offers: tuple[Offer[Thing], ...] = ()
    broken: tuple[str, ...] = ()

    def get(self, name: str) -> Offer[Thing]:
        """The one offer of *name*. Raises NotRegistered, RegisteredTwice."""
        found = [offer for offer in self.offers if offer.name == name]
        if not found:
            raise NotRegistered(self.kind, name, [offer.name for offer in self.offers], self.broken)
        if len(found) > 1:
            raise RegisteredTwice(self.kind, name, [offer.label for offer in found])
        return found[0]


@dataclass(frozen=True, slots=True)
class Registrations:
    """What the plugins of this process register."""

    brokers: Registered[BrokerFactory] = field(default_factory=lambda: Registered("broker"))
    codecs: Registered[Codec] = field(default_factory=lambda: Registered("codec"))


def asked(
    plugin: Any, hooks: Iterable[str], label: str, took: dict[str, float] | None = None
) -> dict[str, tuple[Offer[Any], ...]]:
    """What *plugin* registers: kind -> offers; the seconds of each call go to *took*.

    Raises PluginError, and whatever the plugin raises.
    """
    offers = {}
    took = {} if took is None else took
    for hook, kind in KINDS.items():
        if hook in hooks:
            with clocked(took, hook):
                given = mapping_of(hook, getattr(plugin, hook)())
            _check(hook, given)
            offers[kind] = tuple(Offer(name, label, thing) for name, thing in given.items())
    return offers


def mapping_of(hook: str, given: Any) -> Mapping[str, Any]:
    """*given*, if it is a mapping with names for keys. Raises PluginError."""
    if isinstance(given, Mapping) and all(isinstance(name, str) and name for name in given):
        return given
    raise PluginError(f"{hook} returned {given!r}; return a dict of names, for example {{'acme': ...}}")


def _check(hook: str, given: Mapping[str, Any]) -> None:
    for name, thing in given.items():
        if hook == "register_codecs":
            _check_codec(name, thing)
        elif name == KAFKA:
            raise PluginError(f"{hook}: the broker {name!r} is built in; register yours under another name")
        elif not callable(thing) or is_async(thing) or is_generator(thing) or why_uncallable(thing, 1):
            raise PluginError(f"{hook}: {name!r} is {thing!r}; give a function of the settings (a plain def)")


def _check_codec(name: str, thing: Any) -> None:
    if not isinstance(thing, Codec):
        raise PluginError(f"register_codecs: {name!r} is {thing!r}; give a core_messaging.Codec")
    for part, gets in (("decode", 2), ("encode", 1)):
        function = getattr(thing, part)
        if is_async(function) or is_generator(function):
            kind = "an async def" if is_async(function) else "a function with a yield"
            raise PluginError(f"register_codecs: {name!r} has {kind}; decoding and encoding are plain def")
        problem = why_uncallable(function, gets) if callable(function) else "it is no function"
        if problem:
            raise PluginError(
                f"register_codecs: {part} of {name!r} cannot be called with what it gets: {problem}; "
                "write decode(data, annotation) and encode(value)"
            )


def contested(offers: Iterable[Offer[Any]], label: str) -> dict[str, list[str]]:
    """Names that *label* and others claim -> the labels of the others."""
    every = list(offers)
    mine = {offer.name for offer in every if offer.label == label}
    found = {name: [o.label for o in every if o.name == name and o.label != label] for name in sorted(mine)}
    return {name: others for name, others in found.items() if others}
