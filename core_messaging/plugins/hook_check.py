"""The hooks of a plugin: found without a stranger's attributes getting in the way, and refused where no call could work."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from core_messaging.definition.signatures import declared, is_async, is_generator
from core_messaging.errors import PluginError
from core_messaging.plugins import hookspecs

API = "1"
MARK = f"{hookspecs.PROJECT}_impl"

# Hooks that are called before there is an event loop, or for one record after the other.
PLAIN = ("configure", "redact", "register_brokers", "register_codecs", "register_commands")

HOOKS: Mapping[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(spec).parameters)
    for name, spec in vars(hookspecs).items()
    if hasattr(spec, f"{hookspecs.PROJECT}_spec")
}


EVERYDAY = ("configure", "serve", "metrics")


class Incompatible(Exception):
    """The plugin speaks another version of the hooks."""


def attribute_of(plugin: Any, name: str, default: Any = None) -> Any:
    """The attribute *name* of *plugin*, *default* where it has none. What a ``__getattr__`` makes up is not asked for."""
    try:
        inspect.getattr_static(plugin, name)
    except AttributeError:
        return default
    return getattr(plugin, name)


def functions_of(plugin: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public attribute of *plugin* that can be called. One that cannot even be looked at is none of ours: a
    property that raises, or an object that is there only inside of a web request."""
    for name in dir(plugin):
        if name.startswith("__"):
            continue
        try:
            found = getattr(plugin, name)
            usable = callable(found) and not inspect.isclass(found)
        except Exception:  # noqa: S112 - whatever it is, it is no hook
            continue
        if usable:
            yield name, found


def hooks_of(plugin: Any) -> dict[str, Callable[..., Any]]:
    """Name -> function of all that is marked with ``@hookimpl``."""
    return {name: found for name, found in functions_of(plugin) if options_of(found) is not None}


def options_of(function: Callable[..., Any]) -> Mapping[str, Any] | None:
    """What ``@hookimpl`` was called with; None where *function* has no such mark."""
    try:
        options = getattr(function, MARK, None)
        return options if isinstance(options, Mapping) else None
    except Exception:
        return None


def check(plugin: Any) -> tuple[str, ...]:
    """The hooks *plugin* implements. Raises Incompatible and PluginError."""
    wanted = str(attribute_of(plugin, "core_api", API))
    if wanted != API:
        raise Incompatible(f"it wants core_api {wanted}, this is {API}; upgrade one of the two")
    if inspect.isclass(plugin):
        raise PluginError(
            f"the entry point is the class {plugin.__name__}; point it at an instance or a module"
        )
    hooks = hooks_of(plugin)
    for name, function in hooks.items():
        _check_implementation(name, function, options_of(function) or {})
    for name, function in functions_of(plugin):
        if name not in hooks:
            _refuse_unmarked(plugin, name, function)
    _refuse_generator("close", attribute_of(plugin, "close"))
    return tuple(hooks)


def _check_implementation(name: str, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    if name not in HOOKS:
        nearest = get_close_matches(name, HOOKS, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"the hooks are {', '.join(HOOKS)}"
        raise PluginError(f"there is no hook {name!r}; {hint}")
    if options.get("wrapper") or options.get("hookwrapper"):
        raise PluginError(
            f"{name} is a pluggy wrapper; each implementation is called alone, use wrap_process"
        )
    signature = declared(function)
    if signature is None:
        raise PluginError(f"{name} has no parameters that can be read; a method of a plugin begins with self")
    wrong = [parameter for parameter in signature.parameters if parameter not in HOOKS[name]]
    if wrong:
        raise PluginError(
            f"{name} has no argument {', '.join(map(repr, wrong))}; it has {', '.join(HOOKS[name]) or 'none'}"
        )
    _refuse_generator(name, function)
    asynchronous = is_async(function)
    if name in PLAIN and asynchronous:
        raise PluginError(f"{name} must be a plain def: nobody awaits it")
    if name == "wrap_process" and not asynchronous:
        raise PluginError("wrap_process must be async def: it awaits call_next(message, context)")


def _refuse_generator(name: str, function: Callable[..., Any] | None) -> None:
    if function is not None and is_generator(function):
        raise PluginError(
            f"{name} has a yield in it, so a call would run nothing of it; take the yield out, and return instead"
        )


def _refuse_unmarked(plugin: Any, name: str, function: Callable[..., Any]) -> None:
    """A hook without its mark is never called, and nobody says so. Only what could be one: a module may have helpers."""
    hook = _meant(name)
    if hook is None or not _own(plugin, function):
        return
    try:
        arguments = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return
    # Names that helpers have as well.
    if not set(arguments) <= set(HOOKS[hook]) or (hook in EVERYDAY and not arguments):
        return
    if name == hook:
        raise PluginError(f"{name} has no @hookimpl, so it would never be called; write @hookimpl above it")
    raise PluginError(
        f"there is no hook {name!r}; did you mean {hook!r}? Write its name so, with @hookimpl above it, or let the name of "
        "a helper begin with '_'"
    )


def _meant(name: str) -> str | None:
    """The hook that *name* spells, or nearly spells where nothing but a hook is called like it."""
    if name in HOOKS:
        return name
    nearest = get_close_matches(name, HOOKS, n=1, cutoff=0.8)
    return nearest[0] if nearest and name.startswith(("on", "wrap", "register")) else None


def _own(plugin: Any, function: Callable[..., Any]) -> bool:
    """Whether *function* is of the plugin and not imported into it."""
    home = plugin.__name__ if inspect.ismodule(plugin) else None
    return inspect.isroutine(function) and home in (None, getattr(function, "__module__", None))


def positional(function: Callable[..., Any]) -> tuple[tuple[str, ...], Callable[..., Any]]:
    """The arguments that *function* names, those with a default too, and a function that takes them all by position."""
    parameters = inspect.signature(function).parameters
    named = [name for name, each in parameters.items() if each.kind is each.KEYWORD_ONLY]
    if not named:
        return tuple(parameters), function
    first = len(parameters) - len(named)

    @functools.wraps(function)
    def by_name(*facts: Any) -> Any:
        return function(*facts[:first], **dict(zip(named, facts[first:], strict=True)))

    return tuple(parameters), by_name


class Implementations:
    """The hooks of a plugin and nothing else of it, for pluggy, which looks at every attribute."""

    def __init__(self, hooks: Iterable[tuple[str, Callable[..., Any]]]) -> None:
        for name, function in hooks:
            setattr(self, name, function if inspect.isroutine(function) else _as_routine(function))


def _as_routine(function: Callable[..., Any]) -> Callable[..., Any]:
    """pluggy passes over what can be called and is no function, such as a partial."""

    @functools.wraps(function)
    def call(*facts: Any, **named: Any) -> Any:
        return function(*facts, **named)

    setattr(call, MARK, options_of(function))
    return call
