"""A callable that no call can run is refused when it is defined, however it is wrapped."""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest.mock import AsyncMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging import Codec, Context, hookimpl, worker
from core_messaging.definition.method_checks import METHODS, nearest_method
from core_messaging.definition.signatures import as_called, is_async, is_generator, why_uncallable
from core_messaging.errors import NothingRan, OptionError, PluginError
from core_messaging.plugins.hook_check import check
from core_messaging.plugins.registrations import offers_of
from core_messaging.testing import run
from core_messaging.worker import Worker, as_worker

Anything = Callable[..., Any]


def generator(*_: Any) -> Iterator[int]:
    yield 1


async def async_generator(*_: Any) -> AsyncIterator[int]:
    yield 1


async def coroutine(*_: Any) -> None: ...


def plain(*_: Any) -> None: ...


def wrapped(function: Anything) -> Anything:
    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        return function(*args, **named)

    return call


def wrapped_async(function: Anything) -> Anything:
    @functools.wraps(function)
    async def call(*args: Any, **named: Any) -> Any:
        return function(*args, **named)

    return call


def as_object(function: Anything) -> Anything:
    if function is generator:
        return GeneratorObject()
    return AsyncGeneratorObject() if function is async_generator else function


class GeneratorObject:
    def __call__(self, *_: Any) -> Iterator[int]:
        yield 1


class AsyncGeneratorObject:
    async def __call__(self, *_: Any) -> AsyncIterator[int]:
        yield 1


class AsyncObject:
    async def __call__(self, *_: Any) -> None: ...


WRAPPERS: list[Anything] = [functools.partial, wrapped, wrapped_async, as_object, functools.lru_cache]
CALLABLES: list[Anything] = [generator, async_generator, coroutine, plain]


@given(st.sampled_from(CALLABLES), st.lists(st.sampled_from(WRAPPERS), max_size=4))
def test_a_yield_is_seen_through_every_wrapper(function: Anything, wrappers: list[Anything]) -> None:
    made = functools.reduce(lambda inner, wrap: wrap(inner), wrappers, function)
    assert is_generator(made) is (function in (generator, async_generator))


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("function", [generator, async_generator])
@pytest.mark.parametrize("wrap", [*WRAPPERS, staticmethod, classmethod, functools.partialmethod])
def test_a_yield_in_a_method_that_the_runtime_calls_is_refused(
    method: str, function: Anything, wrap: Anything
) -> None:
    members = {"input_topic": "t", "process": coroutine_of, method: wrap(function)}
    with pytest.raises(OptionError, match=f"{method} has a yield"):
        type("Yields", (Worker,), members)


def test_a_context_manager_is_no_setup() -> None:
    with pytest.raises(OptionError, match="setup has a yield"):

        class Managed(Worker):
            input_topic = "t"

            @contextlib.asynccontextmanager
            async def setup(self) -> AsyncIterator[None]:  # type: ignore[override] # the point
                yield

            async def process(self, message: dict[str, Any]) -> None: ...


@pytest.mark.parametrize(
    "function", [generator, async_generator, functools.partial(generator), GeneratorObject()]
)
def test_a_yield_in_a_decorated_function_is_refused(function: Anything) -> None:
    with pytest.raises(OptionError, match="has a yield"):
        worker(topic="t")(function)


def test_a_generator_that_is_a_coroutine_runs() -> None:
    @types.coroutine
    def process(message: dict[str, Any]) -> Iterator[None]:
        yield from ()

    assert as_worker(worker(topic="t")(process)) is not None


@pytest.mark.parametrize(
    "hook", ["on_success", "configure", "serve", "wrap_process", "metrics", "register_codecs"]
)
@pytest.mark.parametrize("wrap", [lambda function: function, wrapped, staticmethod])
def test_a_yield_in_a_hook_is_refused(hook: str, wrap: Anything) -> None:
    def implementation() -> Iterator[int]:
        yield 1

    marked = (
        hookimpl(wrap(implementation)) if wrap is not staticmethod else staticmethod(hookimpl(implementation))
    )
    plugin = type("Plugin", (), {hook: marked if wrap is staticmethod else staticmethod(marked)})()
    with pytest.raises(PluginError, match=f"{hook} has a yield"):
        check(plugin)


@pytest.mark.parametrize("hook", ["on_success", "wrap_process", "metrics"])
def test_a_hook_without_self_is_refused_and_says_so(hook: str) -> None:
    plugin = type("Plugin", (), {hook: hookimpl(without_self)})()
    with pytest.raises(PluginError, match=f"{hook} has no parameters that can be read.*has to be self"):
        check(plugin)


def test_a_yield_in_a_plugins_close_is_refused() -> None:
    class Plugin:
        def close(self) -> Iterator[None]:
            yield

    with pytest.raises(PluginError, match="close has a yield"):
        check(Plugin())


@pytest.mark.parametrize(
    ("codec", "says"),
    [
        (Codec(generator, bytes), "a function with a yield"),
        (Codec(lambda data, _kind: data, AsyncObject()), "an async def"),  # type: ignore[arg-type] # the point
        (Codec(lambda data: data, bytes), "decode of 'acme' cannot be called"),  # type: ignore[arg-type,misc] # the point
        (Codec(plain, lambda: b""), "encode of 'acme' cannot be called"),  # type: ignore[arg-type,misc] # the point
    ],
)
def test_a_codec_that_can_never_run_is_refused(codec: Codec, says: str) -> None:
    plugin = types.SimpleNamespace(register_codecs=lambda: {"acme": codec})
    with pytest.raises(PluginError, match=says):
        offers_of(plugin, ["register_codecs"], "acme 1.0")


def test_a_yield_that_a_decorator_hides_fails_the_message_instead_of_counting_as_done() -> None:
    class Hidden(Worker):
        input_topic = "t"
        max_retries = 0

        def process(self, message: dict[str, Any]) -> Any:
            return generator(message)

    outcome = run(Hidden, [{"n": 1}])
    assert not outcome.successes
    assert isinstance(outcome.failures[0].error, NothingRan)


async def by_type(self: Worker, message: dict[str, Any], ctx: Context) -> None: ...
async def one_more(self: Worker, message: dict[str, Any], database: object) -> None: ...
async def keyword_only(self: Worker, *, message: dict[str, Any]) -> None: ...
async def context_first(self: Worker, context: Context, message: dict[str, Any]) -> None: ...
async def context_by_position(self: Worker, message: dict[str, Any], context: Context, /) -> None: ...
async def without_message(self: Worker) -> None: ...
async def without_self() -> None: ...
async def self_by_name(*, self: Worker, message: dict[str, Any]) -> None: ...


HOPELESS: list[Anything] = [
    by_type,
    one_more,
    keyword_only,
    context_first,
    context_by_position,
    without_message,
    without_self,
    self_by_name,
]


@pytest.mark.parametrize(
    "process", [*HOPELESS, *map(wrapped, HOPELESS[2:4]), wrapped(without_self), staticmethod(one_more)]
)
@pytest.mark.parametrize("method", ["process", "process_batch"])
def test_a_handler_that_no_call_can_satisfy_is_refused(process: Anything, method: str) -> None:
    with pytest.raises(OptionError, match=f"{method} (cannot be called with its arguments|takes no)"):
        type("Hopeless", (Worker,), {"input_topic": "t", "batch_size": 2, method: process})


@pytest.mark.parametrize("method", ["on_success", "on_error", "on_undecodable"])
def test_a_callback_that_no_call_can_satisfy_is_refused(method: str) -> None:
    async def one_fact(self: Worker, fact: object) -> None: ...
    async def four(self: Worker, first: object, second: object, third: object) -> None: ...

    for callback in (one_fact, four, without_self):
        with pytest.raises(OptionError, match=f"{method} cannot be called"):
            type("Hopeless", (Worker,), {"input_topic": "t", "process": coroutine_of, method: callback})


@pytest.mark.parametrize("method", ["setup", "teardown"])
def test_a_setup_that_wants_something_is_refused(method: str) -> None:
    async def wants(self: Worker, context: Context) -> None: ...

    for function in (wants, without_self):
        with pytest.raises(OptionError, match=f"{method} cannot be called with its arguments"):
            type("Hopeless", (Worker,), {"input_topic": "t", "process": coroutine_of, method: function})


async def coroutine_of(self: Worker, message: dict[str, Any]) -> None: ...


async def of_the_class(cls: type, message: dict[str, Any], /) -> None: ...
async def with_context(self: Worker, message: dict[str, Any], *, context: Context) -> None: ...
async def with_default(self: Worker, message: dict[str, Any], database: object = None) -> None: ...


def awaiting(function: Anything) -> Anything:
    @functools.wraps(function)
    async def call(*args: Any, **named: Any) -> Any:
        return await function(*args, **named)

    return call


def injecting(function: Anything) -> Anything:
    @functools.wraps(function)
    async def call(self: Worker, message: dict[str, Any]) -> Any:
        return await function(self, message, "a database")

    return call


def swallowing_the_context(function: Anything) -> Anything:
    @functools.wraps(function)
    async def call(self: Worker, message: dict[str, Any]) -> Any:
        return await function(self, message, context=None)

    return call


@pytest.mark.parametrize(
    "process",
    [
        coroutine_of,
        with_context,
        with_default,
        wrapped(with_context),
        awaiting(coroutine_of),
        injecting(one_more),
        swallowing_the_context(with_context),
        staticmethod(functools.partial(one_more, Worker(), database=1)),
        classmethod(of_the_class),
        functools.partialmethod(one_more, database=1),
        AsyncObject(),
        AsyncMock(),
    ],
)
def test_a_handler_that_can_be_called_processes_its_message(process: Any) -> None:
    made = type("Works", (Worker,), {"input_topic": "t", "process": process})
    outcome = run(made, [{"n": 1}])
    assert [success.message for success in outcome.successes] == [{"n": 1}]


def test_a_decorator_without_wraps_hides_the_message_and_is_refused() -> None:
    def bare(function: Anything) -> Anything:
        async def call(*args: Any, **named: Any) -> Any:
            return await function(*args, **named)

        return call

    with pytest.raises(OptionError, match=r"use functools\.wraps"):
        type("Bare", (Worker,), {"input_topic": "t", "process": bare(coroutine_of)})
    with pytest.raises(OptionError, match=r"use functools\.wraps"):
        worker(topic="t")(bare(coroutine))


@pytest.mark.parametrize("value", [5, "process", [coroutine]])
def test_a_method_that_cannot_be_called_is_refused(value: object) -> None:
    with pytest.raises(OptionError, match=r"on_error = .* cannot be called"):
        type("Odd", (Worker,), {"input_topic": "t", "process": coroutine_of, "on_error": value})


def test_a_method_that_the_constructor_sets_is_checked_at_the_start() -> None:
    class Late(Worker):
        input_topic = "t"

        def __init__(self) -> None:
            self.on_error = generator

        async def process(self, message: dict[str, Any]) -> None: ...

    with pytest.raises(OptionError, match="on_error has a yield"):
        run(Late, [{"n": 1}])


@pytest.mark.parametrize("topic", ["tasks", ["a", "b"]])
def test_a_topic_without_a_name_says_what_to_write(topic: Any) -> None:
    with pytest.raises(OptionError, match=r"write @worker\(topic="):
        worker(topic)


@pytest.mark.parametrize("thing", [Context, 5, classmethod(coroutine)])
def test_what_is_no_function_cannot_be_decorated(thing: Any) -> None:
    with pytest.raises(OptionError, match="@worker decorates"):
        worker(topic="t")(thing)


def test_what_takes_no_attribute_cannot_be_decorated() -> None:
    with pytest.raises(OptionError, match="takes no attribute"):
        worker(topic="t")([].append)


def test_a_decorated_partial_has_the_name_of_its_function() -> None:
    made = as_worker(worker(topic="t")(functools.partial(one_more, Worker(), database=1)))
    assert made is not None
    assert made.__name__ == "one_more"


MISSPELT = {
    "on_eror": "on_error",
    "onerror": "on_error",
    "onError": "on_error",
    "on_errors": "on_error",
    "on_failure": "on_error",
    "on_sucess": "on_success",
    "on_undecodeable": "on_undecodable",
    "set_up": "setup",
    "setUp": "setup",
    "tear_down": "teardown",
    "teardwn": "teardown",
}


@pytest.mark.parametrize(("written", "meant"), MISSPELT.items())
@pytest.mark.parametrize("kind", [lambda function: function, staticmethod, classmethod])
def test_a_misspelt_callback_is_refused_and_the_right_one_named(
    written: str, meant: str, kind: Anything
) -> None:
    members = {"input_topic": "t", "process": coroutine_of, written: kind(plain)}
    with pytest.raises(OptionError, match=f"{written}; did you mean '{meant}'"):
        type("Misspelt", (Worker,), members)


@pytest.mark.parametrize("written", ["proces", "porcess", "process_message", "handle"])
def test_a_misspelt_handler_is_refused(written: str) -> None:
    with pytest.raises(OptionError, match="did you mean 'process'"):
        type("Misspelt", (Worker,), {"input_topic": "t", written: coroutine_of})


@pytest.mark.parametrize("written", ["proces_batch", "processBatch", "process_bacth"])
def test_a_misspelt_batch_handler_is_refused(written: str) -> None:
    with pytest.raises(OptionError, match="did you mean 'process_batch'"):
        type("Misspelt", (Worker,), {"input_topic": "t", "batch_size": 2, written: coroutine_of})


def test_a_misspelt_callback_of_a_base_is_found_in_the_worker() -> None:
    class Base(Worker):
        async def on_eror(self, message: object, error: Exception) -> None: ...

    with pytest.raises(OptionError, match="did you mean 'on_error'"):
        type("Child", (Base,), {"input_topic": "t", "process": coroutine_of})


def test_helpers_with_names_near_ours_are_left_alone() -> None:
    class Base(Worker):
        async def process(self, message: dict[str, Any]) -> None: ...
        async def on_error(self, message: object, error: Exception) -> None: ...

    members = dict.fromkeys(
        ("handle", "processor", "preprocess", "on_errors", "error", "success", "start"), plain
    )
    assert as_worker(type("Child", (Base,), {"input_topic": "t", **members})) is not None


@given(st.sampled_from(sorted(METHODS)))
def test_our_own_names_are_the_nearest_to_themselves(name: str) -> None:
    assert nearest_method(name) == name


def test_an_object_with_an_async_call_is_async() -> None:
    assert is_async(AsyncObject())
    assert is_async(functools.partial(AsyncObject()))
    assert not is_async(plain)


def test_a_property_tells_nothing_without_an_instance() -> None:
    class Odd:
        process = property(lambda self: self.missing)

    assert as_called(Odd, "process") is None


def test_a_callable_that_says_nothing_of_its_parameters_is_taken_at_its_word() -> None:
    assert why_uncallable(dict, 9) == ""
