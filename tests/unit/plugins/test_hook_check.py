"""What a plugin may look like: every argument is passed, what could never be called is refused, the rest is let alone."""

from __future__ import annotations

import asyncio
import functools
import types
from collections.abc import Callable
from typing import Any

import pytest

from core_messaging import Worker, hookimpl
from core_messaging.errors import PluginError
from core_messaging.observers import tell
from core_messaging.plugins.hook_check import HOOKS, check
from core_messaging.plugins.hookspecs import OBSERVERS
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.settings import Settings
from core_messaging.testing import run_with


def plugin(**attributes: Any) -> Any:
    return types.SimpleNamespace(**attributes)


def loaded(one: Any) -> Plugins:
    return Plugins([PluginReport("p", "test", hooks=check(one), plugin=one)], Settings())


def written(hook: str, parameters: str, body: str = "seen.update(locals())", head: str = "def") -> Any:
    """An implementation of *hook* as its author would write it, and the facts it was given."""
    scope: dict[str, Any] = {"seen": {}}
    exec(f"{head} {hook}({parameters}):\n    {body}", scope)  # noqa: S102 - a signature is made of its text
    return hookimpl(scope[hook]), scope["seen"]


SPELLINGS = {
    "with a default": lambda names: ", ".join(f"{name}=None" for name in names),
    "by name only": lambda names: f"*, {', '.join(names)}",
    "by name only, with a default": lambda names: f"*, {', '.join(f'{name}=None' for name in names)}",
    "by position only": lambda names: f"{', '.join(names)}, /",
    "the first one without": lambda names: ", ".join([names[0], *(f"{name}=None" for name in names[1:])]),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("hook", OBSERVERS)
def test_every_argument_that_an_observer_names_is_passed(hook: str, spelling: str) -> None:
    # One with a default was left out, so ``on_success(message, context=None)`` never saw a context.
    function, seen = written(hook, SPELLINGS[spelling](HOOKS[hook]))
    facts = {name: f"the {name}" for name in HOOKS[hook]}
    told = getattr(loaded(plugin(**{hook: function})).observers(), hook)
    asyncio.run(tell(told, **facts))
    assert seen == facts


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_argument_that_a_middleware_or_serve_names_is_passed(spelling: str) -> None:
    names = HOOKS["wrap_process"]
    wrap, seen = written(
        "wrap_process", SPELLINGS[spelling](names), "seen.update(locals()); return 7", "async def"
    )
    serve, served = written("serve", SPELLINGS[spelling](("snapshot",)))
    plugins = loaded(plugin(wrap_process=wrap, serve=serve))
    wrapped = plugins.observers().wrap_process
    assert wrapped is not None
    assert asyncio.run(wrapped(print, "W", "the message", "the context")) == 7  # type: ignore[arg-type] # not called
    del seen["call_next"]
    assert seen == {"worker": "W", "message": "the message", "context": "the context"}
    asyncio.run(plugins.serve("the snapshot"))  # type: ignore[arg-type] # handed on as it is
    assert served == {"snapshot": "the snapshot"}


class Attempts(Worker):
    input_topic = "tasks"

    async def process(self, message: dict[str, Any], context: Any) -> int:
        return int(context.attempt)


def test_the_testing_kit_passes_them_too() -> None:
    seen = []

    class Kit:
        @hookimpl
        async def wrap_process(
            self, call_next: Callable[..., Any], message: Any, *, context: Any = None
        ) -> Any:
            return await call_next(message, context)

        @hookimpl
        def on_success(self, result: Any = None, *, context: Any = None) -> None:
            seen.append((result, context.offset))

    outcome = run_with(Kit(), Attempts, [{}])
    assert seen == [(1, 0)]
    (call,) = outcome.calls_of("on_success")
    assert call.facts["result"] == 1


@pytest.mark.parametrize("head", ["def", "async def"])
@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_with_a_yield_is_refused(hook: str, head: str) -> None:
    # Its call made a generator, nothing of it ran, and it counted as a success.
    function, _ = written(hook, ", ".join(HOOKS[hook]), "yield 1", head)
    for each in (function, hookimpl(functools.partial(function))):
        with pytest.raises(PluginError, match=f"{hook} has a yield in it, so a call would run nothing of it"):
            check(plugin(**{hook: each}))


def test_a_close_with_a_yield_is_refused_too() -> None:
    def close() -> Any:
        yield

    with pytest.raises(PluginError, match="close has a yield"):
        check(plugin(close=close))


@pytest.mark.parametrize("parameters", ["self, message", "*facts", "**facts", "message, cache={}"])
def test_an_argument_that_nobody_would_pass_is_refused(parameters: str) -> None:
    function, _ = written("on_success", parameters)
    with pytest.raises(PluginError, match="on_success has no argument"):
        check(plugin(on_success=function))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("on_error", "on_error has no @hookimpl, so it would never be called"),
        ("on_eror", "there is no hook 'on_eror'; did you mean 'on_error'\\?"),
        ("onerror", "did you mean 'on_error'\\?"),
        ("wrap_proces", "did you mean 'wrap_process'\\?"),
    ],
)
def test_a_hook_that_nobody_would_call_is_refused(name: str, told: str) -> None:
    unmarked = written(name, "message", "pass")[0]
    delattr(unmarked, "core_impl")
    class_made = type("Plugin", (), {name: staticmethod(unmarked)})()
    module = types.ModuleType("acme")
    setattr(module, name, unmarked)
    unmarked.__module__ = "acme"
    for one in (class_made, module, plugin(**{name: unmarked})):
        with pytest.raises(PluginError, match=told):
            check(one)


def test_helpers_that_are_no_hooks_are_let_alone() -> None:
    def on_error(sentry: Any, error: Exception) -> None: ...
    def serve() -> None: ...
    def onwards(message: Any) -> None: ...
    def _on_success(message: Any) -> None: ...

    own = (on_error, serve, onwards, _on_success)
    assert check(plugin(**{function.__name__: function for function in own})) == ()
    imported = types.ModuleType("acme")
    imported.on_error = written("on_error", "error")[0]  # type: ignore[attr-defined]
    delattr(imported.on_error, "core_impl")
    imported.on_error.__module__ = "elsewhere"
    assert check(imported) == ()


class OutsideOfARequest:
    """As web frameworks put them into a module: it can be looked at inside of a request only."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("outside of a request")

    def __call__(self) -> None: ...

    @property  # type: ignore[misc] # what such objects do
    def __class__(self) -> Any:
        raise RuntimeError("outside of a request")


class Touchy:
    """A plugin of which not every attribute can be asked for."""

    request = OutsideOfARequest()

    def __init__(self) -> None:
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"{name} comes later")

    @property
    def connection(self) -> Any:
        raise OSError("not connected")

    @hookimpl
    def on_success(self) -> None:
        self.calls += 1


def test_attributes_that_cannot_be_looked_at_are_no_hooks_and_hurt_nobody() -> None:
    touchy = Touchy()
    plugins = loaded(touchy)
    told = plugins.observers().on_success
    assert told is not None
    asyncio.run(tell(told, worker="W", message=1, result=2, context=None))
    asyncio.run(plugins.close())
    assert touchy.calls == 1


def test_what_can_be_called_and_is_no_function_is_called() -> None:
    # It was listed as a hook, and never called.
    seen = []
    partial = hookimpl(functools.partial(lambda kept, result: seen.append((kept, result)), "kept"))
    told = loaded(plugin(on_success=partial)).observers().on_success
    assert told is not None
    asyncio.run(tell(told, worker="W", message=1, result=2, context=None))
    assert seen == [("kept", 2)]
