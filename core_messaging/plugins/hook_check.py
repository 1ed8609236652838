"""Finds the hooks of a plugin, whatever other attributes it has, and refuses hooks that cannot be called."""

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

# Hooks that are called before the event loop starts, or for one record after another.
PLAIN = ("configure", "redact", "register_brokers", "register_codecs", "register_commands")

HOOKS: Mapping[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(spec).parameters)
    for name, spec in vars(hookspecs).items()
    if hasattr(spec, f"{hookspecs.PROJECT}_spec")
}


# Hooks whose names helper functions often have too.
COMMON_NAMES = ("configure", "serve", "metrics")


class Incompatible(Exception):
    """The plugin needs another version of the hooks."""


def attribute_of(plugin: Any, name: str, default: Any = None) -> Any:
    """Return the attribute *name* of *plugin*; *default* if it has none. An attribute made by ``__getattr__`` is none."""
    try:
        inspect.getattr_static(plugin, name)
    except AttributeError:
        return default
    return getattr(plugin, name)


def functions_of(plugin: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield every public attribute of *plugin* that can be called.

    An attribute that raises when it is read is left out: for example a property, or an object that exists only inside a web
    request.
    """
    for name in dir(plugin):
        if name.startswith("__"):
            continue
        try:
            found = getattr(plugin, name)
            usable = callable(found) and not inspect.isclass(found)
        except Exception:  # noqa: S112 - it is no hook
            continue
        if usable:
            yield name, found


def hooks_of(plugin: Any) -> dict[str, Callable[..., Any]]:
    """Return all functions that are marked with ``@hookimpl``, by name."""
    return {name: found for name, found in functions_of(plugin) if options_of(found) is not None}


def options_of(function: Callable[..., Any]) -> Mapping[str, Any] | None:
    """Return the arguments of ``@hookimpl``; None if *function* has no such mark."""
    try:
        options = getattr(function, MARK, None)
        return options if isinstance(options, Mapping) else None
    except Exception:
        return None


def check(plugin: Any) -> tuple[str, ...]:
    """Return the names of the hooks that *plugin* implements.

    Raises Incompatible for another version of the hooks, PluginError for a hook that cannot be called.
    """
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
            f"{name} is a pluggy wrapper; each implementation is called on its own, so use wrap_process"
        )
    signature = declared(function)
    if signature is None:
        raise PluginError(
            f"{name} has no parameters that can be read; the first parameter of a method has to be self"
        )
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
            f"{name} has a yield in it, so a call would run nothing of it; replace the yield with a return"
        )


def _refuse_unmarked(plugin: Any, name: str, function: Callable[..., Any]) -> None:
    """Refuse a function that looks like a hook without ``@hookimpl``: it would never be called.

    A module may have helper functions, so its arguments have to fit the hook too.
    """
    hook = _meant(name)
    if hook is None or not _own(plugin, function):
        return
    try:
        arguments = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return
    if not set(arguments) <= set(HOOKS[hook]) or (hook in COMMON_NAMES and not arguments):
        return
    if name == hook:
        raise PluginError(f"{name} has no @hookimpl, so it would never be called; write @hookimpl above it")
    raise PluginError(
        f"there is no hook {name!r}; did you mean {hook!r}? Use that name, with @hookimpl above it; or, if it is a helper, "
        "let its name start with '_'"
    )


def _meant(name: str) -> str | None:
    """Return the hook called *name*, or one that *name* nearly spells if only hooks have such names; else None."""
    if name in HOOKS:
        return name
    nearest = get_close_matches(name, HOOKS, n=1, cutoff=0.8)
    return nearest[0] if nearest and name.startswith(("on", "wrap", "register")) else None


def _own(plugin: Any, function: Callable[..., Any]) -> bool:
    """Whether the plugin defines *function* and does not import it."""
    home = plugin.__name__ if inspect.ismodule(plugin) else None
    return inspect.isroutine(function) and home in (None, getattr(function, "__module__", None))


def positional(function: Callable[..., Any]) -> tuple[tuple[str, ...], Callable[..., Any]]:
    """Return the arguments of *function*, also those with a default, and a function that takes them all by position."""
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
    """Has the hooks of a plugin and no other attribute, because pluggy looks at every attribute."""

    def __init__(self, hooks: Iterable[tuple[str, Callable[..., Any]]]) -> None:
        for name, function in hooks:
            setattr(self, name, function if inspect.isroutine(function) else _as_routine(function))


def _as_routine(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return *function* as a real function: pluggy ignores other callables, such as a partial."""

    @functools.wraps(function)
    def call(*facts: Any, **named: Any) -> Any:
        return function(*facts, **named)

    setattr(call, MARK, options_of(function))
    return call
