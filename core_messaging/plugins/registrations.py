"""Collects the brokers and codecs that plugins register. A name that two plugins register is an error."""

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
    """One broker or codec that a plugin registers. ``label``: the plugin's distribution and version."""

    name: str
    label: str
    thing: Thing


@dataclass(frozen=True, slots=True)
class Registered(Generic[Thing]):
    """All brokers or all codecs. ``broken``: plugins that could not be loaded and may register the missing one."""

    kind: str
    offers: tuple[Offer[Thing], ...] = ()
    broken: tuple[str, ...] = ()

    def get(self, name: str) -> Offer[Thing]:
        """Return the offer called *name*. Raises NotRegistered, RegisteredTwice."""
        found = [offer for offer in self.offers if offer.name == name]
        if not found:
            raise NotRegistered(self.kind, name, [offer.name for offer in self.offers], self.broken)
        if len(found) > 1:
            raise RegisteredTwice(self.kind, name, [offer.label for offer in found])
        return found[0]


@dataclass(frozen=True, slots=True)
class Registrations:
    """The brokers and codecs that the plugins of this process register."""

    brokers: Registered[BrokerFactory] = field(default_factory=lambda: Registered("broker"))
    codecs: Registered[Codec] = field(default_factory=lambda: Registered("codec"))


def offers_of(
    plugin: Any, hooks: Iterable[str], label: str, took: dict[str, float] | None = None
) -> dict[str, tuple[Offer[Any], ...]]:
    """Ask *plugin* what it registers: kind -> offers. The seconds of each call are added to *took*.

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
    """Return *given*. Raises PluginError if it is no mapping with names as keys."""
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
                f"register_codecs: {part} of {name!r} cannot be called with its arguments: {problem}; "
                "write decode(data, annotation) and encode(value)"
            )


def contested(offers: Iterable[Offer[Any]], label: str) -> dict[str, list[str]]:
    """Return the names that *label* and others register: name -> the labels of the others."""
    every = list(offers)
    mine = {offer.name for offer in every if offer.label == label}
    found = {name: [o.label for o in every if o.name == name and o.label != label] for name in sorted(mine)}
    return {name: others for name, others in found.items() if others}
