"""What a callable says of itself before it is called: whether a call runs its body, and what the call may pass."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

_UNKNOWN = object()  # stands for ``self`` and for every argument: only their number counts


def layers(function: Any) -> Iterator[Any]:
    """*function*, and one by one what it calls: below partials, methods, callable objects and ``functools.wraps``."""
    seen: set[int] = set()
    while function is not None and id(function) not in seen:
        seen.add(id(function))
        yield function
        function = _below(function)


def _below(function: Any) -> Any:
    if isinstance(function, functools.partial | functools.partialmethod):
        return function.func
    for attribute in ("__func__", "__wrapped__"):
        try:
            found = getattr(function, attribute, None)
        except Exception:  # noqa: S112 - a stranger's object may raise for any attribute; then it has none
            continue
        if callable(found) or isinstance(found, staticmethod | classmethod):
            return found
    if inspect.isroutine(function) or isinstance(function, type):
        return None
    call = getattr(type(function), "__call__", None)  # noqa: B004 - the function itself, to look into
    return call if inspect.isfunction(call) else None


def is_generator(function: Any) -> bool:
    """Whether *function* is, or calls in the end, a function with a ``yield``: a call makes a generator and runs nothing."""
    return any(_is_generator(layer) for layer in layers(function))


def _is_generator(layer: Any) -> bool:
    if inspect.isasyncgenfunction(layer):
        return True
    # ``types.coroutine`` makes a coroutine of a generator: that one is awaited, and runs.
    flags = getattr(getattr(layer, "__code__", None), "co_flags", 0)
    return inspect.isgeneratorfunction(layer) and not flags & inspect.CO_ITERABLE_COROUTINE


def is_async(function: Any) -> bool:
    """Whether a call of *function* makes a coroutine: an ``async def``, or an object whose ``__call__`` is one."""
    if inspect.iscoroutinefunction(function):
        return True
    called = function.func if isinstance(function, functools.partial) else function
    return not inspect.isroutine(called) and inspect.iscoroutinefunction(
        getattr(type(called), "__call__", None)  # noqa: B004 - the function itself, to look into
    )


def as_called(cls: type, attribute: str) -> Any:
    """What ``instance.attribute`` will be, without an instance; None where only an instance can tell (a property)."""
    found = inspect.getattr_static(cls, attribute, None)
    if isinstance(found, property | functools.cached_property):
        return None
    bind = getattr(type(found), "__get__", None)
    if bind is None:
        return found
    try:
        return bind(found, _UNKNOWN, cls)
    except Exception:
        return None  # a stranger's descriptor that wants a real instance


def why_uncallable(function: Callable[..., Any], arguments: int, *named: str) -> str:
    """Why *function* cannot be called with so many positional *arguments* and those *named*; empty if it can."""
    given, by_name = [_UNKNOWN] * arguments, dict.fromkeys(named, _UNKNOWN)
    while inspect.ismethod(function):  # inspect has no signature for a method that forgot its ``self``
        function, given = function.__func__, [_UNKNOWN, *given]
    own, written = outermost(function), declared(function)
    try:
        if own is not None:
            own.bind(*given, **by_name)
        if own != written and written is not None and _passes_all_on(own):
            # What it wraps may get more than this from the decorator, and never less.
            written.bind_partial(*given, **by_name)
    except TypeError as error:
        return str(error)
    return ""


def _passes_all_on(signature: inspect.Signature | None) -> bool:
    kinds = {parameter.kind for parameter in signature.parameters.values()} if signature else set()
    return kinds == {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def outermost(function: Callable[..., Any]) -> inspect.Signature | None:
    """The parameters of *function* itself, not of what it wraps: what a call has to meet. None where it says nothing."""
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return None


def declared(function: Callable[..., Any]) -> inspect.Signature | None:
    """The parameters as they were written: those of the wrapped function under ``functools.wraps``."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def takes_context(function: Callable[..., Any]) -> bool:
    """Whether *function* names a parameter ``context``, and a decorator around it lets it through."""
    written, own = declared(function), outermost(function)
    if written is None or own is None or "context" not in written.parameters:
        return False
    kinds = {parameter.kind for parameter in own.parameters.values()}
    return "context" in own.parameters or inspect.Parameter.VAR_KEYWORD in kinds


def hides_its_message(function: Callable[..., Any]) -> bool:
    """Whether it is a function whose first parameter is ``*args``, as a decorator without ``functools.wraps`` makes
    one: neither the type of the message nor ``context`` can be seen through it."""
    signature = declared(function)
    if signature is None or not inspect.isroutine(function):
        return False
    first = next(iter(signature.parameters.values()), None)
    return first is not None and first.kind is inspect.Parameter.VAR_POSITIONAL
