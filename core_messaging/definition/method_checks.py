"""Checks the methods of a worker class when the class is defined."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass
from typing import Any

from core_messaging.definition.signatures import (
    as_called,
    hides_its_message,
    is_generator,
    outermost,
    takes_context,
    why_uncallable,
)
from core_messaging.errors import OptionError


@dataclass(frozen=True, slots=True)
class Method:
    """A method that the runtime calls: the arguments that it gets, and whether it may also take ``context``."""

    arguments: tuple[str, ...]
    may_take_context: bool = True

    def spelled(self, name: str) -> str:
        """Return the method as a user writes it in a class: ``process(self, message)``."""
        return f"{name}({', '.join(('self', *self.arguments))})"


METHODS = {
    "process": Method(("message",)),
    "process_batch": Method(("messages",)),
    "on_success": Method(("message", "result")),
    "on_error": Method(("message", "error")),
    "on_undecodable": Method(("data", "error")),
    "setup": Method((), may_take_context=False),
    "teardown": Method((), may_take_context=False),
}
HANDLERS = ("process", "process_batch")

# Names of other systems for these methods, which a comparison of spellings does not find.
_ALIASES = {
    "onfailure": "on_error",
    "onfail": "on_error",
    "onexception": "on_error",
    "processmessage": "process",
    "processmessages": "process_batch",
    "handlemessage": "process",
    "handle": "process",
    "consume": "process",
}


def check_methods(cls: type) -> None:
    """Check all methods of *cls* that the runtime calls. Raises OptionError for one that can never run."""
    for name in METHODS:
        if inspect.getattr_static(cls, name, None) is not None:
            function = as_called(cls, name)
            if function is not None:
                check_method(cls.__name__, name, function)


def check_method(worker: str, name: str, function: Any) -> None:
    """Check one method: *function* is the method *name* of *worker*, as it will be called.

    Raises OptionError if it can never run.
    """
    method = METHODS[name]
    if not callable(function):
        raise OptionError(
            worker, f"{name} = {function!r} cannot be called", f"write a method {method.spelled(name)}"
        )
    if is_generator(function):
        raise OptionError(
            worker,
            f"{name} has a yield in it (or a decorator around such a function), so a call would run nothing of it",
            "return the result instead of yielding it",
        )
    _check_signature(worker, name, function)


def _check_signature(worker: str, name: str, function: Any) -> None:
    method = METHODS[name]
    named = ("context",) if method.may_take_context and takes_context(function) else ()
    problem = why_uncallable(function, len(method.arguments), *named)
    if problem:
        raise OptionError(worker, _problem(name, function, problem), _remedy(name))
    if name in HANDLERS and hides_its_message(function):
        raise OptionError(
            worker,
            f"{name} takes *args, so the type of its message and a parameter context cannot be found",
            "use functools.wraps in the decorator around it, or name the parameter",
        )


def _problem(name: str, function: Any, problem: str) -> str:
    arguments = METHODS[name].arguments
    signature = outermost(function)
    if arguments and signature is not None and not signature.parameters:
        return f"{name} takes no {arguments[0]}"
    return f"{name} cannot be called with its arguments ({', '.join(arguments) or 'none'}): {problem}"


def _remedy(name: str) -> str:
    method = METHODS[name]
    further = ", or the name context" if method.may_take_context else ""
    return f"write {method.spelled(name)}; a further parameter needs a default value{further}"


# Hooks that plugins have and workers do not: a worker with such a method would wait for calls that never come.
PLUGIN_HOOKS = frozenset({"on_retry", "on_assigned", "on_revoked", "on_start", "on_stop"})


def refuse_misspelled_methods(cls: type, base: type) -> None:
    """Raise OptionError for a method that nothing calls: its name resembles one that the runtime calls, or is a plugin's hook.

    *base*: the class Worker; its own methods are not looked at.
    """
    own = {
        name: value
        for kind in cls.__mro__
        if kind is not base and issubclass(kind, base)
        for name, value in vars(kind).items()
    }
    for name, value in own.items():
        if name in PLUGIN_HOOKS and _is_method(value):
            raise OptionError(
                cls.__name__,
                f"nothing calls its method {name}",
                f"{name} is a hook of plugins, see docs/plugins.md (rename the method if it is your own)",
            )
        nearest = (
            None if name.startswith("_") or name in METHODS or not _is_method(value) else nearest_method(name)
        )
        if nearest is not None and _lacks(cls, base, nearest):
            raise OptionError(
                cls.__name__,
                f"nothing calls its method {name}",
                f"did you mean {nearest!r}? (rename the method if it is your own)",
            )


def _lacks(cls: type, base: type, method: str) -> bool:
    """Whether the runtime would call *method*, and *cls* does not define it."""

    def has(name: str) -> bool:
        return getattr(cls, name, None) is not getattr(base, name, None)

    if method == "process":
        return not has("process_batch") and not has(method)
    if method == "process_batch" and has("process") and getattr(cls, "batch_size", None) is None:
        return False
    return not has(method)


def _is_method(value: object) -> bool:
    return (callable(value) and not isinstance(value, type)) or isinstance(value, staticmethod | classmethod)


def nearest_method(name: str) -> str | None:
    """Return the method that *name* probably stands for: ``on_eror``, ``onError``, ``set_up``; None if there is none."""
    squeezed = name.replace("_", "").lower()
    if squeezed in _ALIASES:
        return _ALIASES[squeezed]
    ours = {method.replace("_", ""): method for method in METHODS}
    found = difflib.get_close_matches(squeezed, ours, n=1, cutoff=0.82)
    # ``error`` and ``success`` are common names of a user's own methods. So the first letter has to be the same.
    return ours[found[0]] if found and found[0][0] == squeezed[0] else None
