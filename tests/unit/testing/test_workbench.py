"""The testing kit: messages in, what became of them out, with the real engine and without waiting."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest

from core_messaging import Codec, Context, Reject, RetryAfter, RetryPolicy, Worker, hookimpl, worker
from core_messaging.errors import (
    ConfigurationError,
    LoopRunning,
    NotFinished,
    NoWorker,
    PluginError,
    RetriesExhausted,
)
from core_messaging.records import Outgoing, TopicPartition
from core_messaging.testing import Outcome, process_all, run, run_with, running, simulate
from core_messaging.worker import defined

HOUR = 3600.0


class Charge(Worker):
    """1 succeeds, 2 at the second attempt, 3 never, 4 is rejected."""

    input_topic = "payments"
    output_topic = "receipts"
    dlq_topic = "payments-dlq"
    max_retries = 1
    retry_backoff = RetryPolicy(backoff="fixed", initial_delay=HOUR, max_delay=HOUR)

    async def process(self, message: dict[str, Any], context: Context) -> dict[str, Any]:
        if message["n"] == 4:
            raise Reject("no")
        if message["n"] == 3 or (message["n"] == 2 and context.attempt == 1):
            raise ValueError("not yet")
        return {"charged": message["n"]}


MESSAGES = [(b"a", b'{"n": 1}'), (b"b", b'{"n": 2}'), (b"c", b'{"n": 3}'), (b"d", b'{"n": 4}')]


def by_asyncio(thing: object, messages: Any) -> Outcome:
    return asyncio.run(process_all(thing, messages))


@pytest.mark.parametrize("way", [run, by_asyncio])
def test_what_became_of_each_message_is_told_by_both_forms_without_waiting_hours(way: Any) -> None:
    started = time.monotonic()
    outcome = way(Charge, MESSAGES)
    assert time.monotonic() - started < 200
    assert sorted((s.coordinates, s.message["n"], s.result, s.attempts) for s in outcome.successes) == [
        ("payments[0]@0", 1, {"charged": 1}, 1),
        ("payments[0]@1", 2, {"charged": 2}, 2),
    ]
    assert sorted(record.value for record in outcome.results) == [b'{"charged":1}', b'{"charged":2}']
    assert sorted((r.coordinates, r.attempt, str(r.error), r.delay) for r in outcome.retries) == [
        ("payments[0]@1", 1, "not yet", HOUR),
        ("payments[0]@2", 1, "not yet", HOUR),
    ]
    letters = {letter.coordinates: letter for letter in outcome.dead_letters}
    assert set(letters) == {"payments[0]@2", "payments[0]@3"}
    assert (letters["payments[0]@2"].key, letters["payments[0]@2"].value) == (b"c", b'{"n": 3}')
    assert isinstance(letters["payments[0]@3"].error, Reject)
    assert sorted((f.coordinates, f.attempts) for f in outcome.failures) == [
        ("payments[0]@2", 2),
        ("payments[0]@3", 1),
    ]
    assert outcome.committed == {TopicPartition("payments", 0): 4}
    assert [record.key for record in outcome.records("payments")] == [b"a", b"b", b"c", b"d"]


def test_messages_may_be_values_pairs_mappings_and_whole_records() -> None:
    seen: list[Any] = []

    @worker(topic=["first", "second"], ordering="partition")
    async def note(message: dict[str, Any], context: Context) -> None:
        seen.append((context.topic, context.key, context.headers, message["n"]))

    run(
        note,
        [
            b'{"n": 1}',
            (b"key", b'{"n": 2}'),
            {"n": 3},
            Outgoing("second", b'{"n": 4}', headers=(("trace", b"x"),)),
        ],
    )
    assert sorted(seen, key=lambda each: each[-1]) == [
        ("first", None, (), 1),
        ("first", b"key", (), 2),
        ("first", None, (), 3),
        ("second", None, (("trace", b"x"),), 4),
    ]


def test_a_worker_with_a_pattern_gets_messages_that_name_their_topic_and_never_its_own_dead_letters() -> None:
    # Its queue matches the pattern. Read as an input, a message that fails would go round for ever.
    class Orders(Worker):
        input_topic = re.compile(r"orders\..*")
        dlq_topic = "orders.dlq"
        max_retries = 0

        async def process(self, message: dict[str, Any], context: Context) -> None:
            seen.append(context.topic)
            if message["fails"]:
                raise ValueError("no")

    seen: list[str] = []
    outcome = run(
        Orders, [Outgoing("orders.eu", b'{"fails": true}'), Outgoing("orders.us", b'{"fails": false}')]
    )
    assert sorted(seen) == ["orders.eu", "orders.us"]
    assert (len(outcome.dead_letters), len(outcome.successes)) == (1, 1)
    assert {source.topic for source in outcome.committed} == {"orders.eu", "orders.us"}
    with pytest.raises(ConfigurationError, match=r"write Outgoing\(topic, value\)"):
        run(Orders, [b"{}"])
    with pytest.raises(ConfigurationError, match="a simulation needs names"):
        simulate(Orders, [b"{}"], seed=1)


def test_a_message_without_a_dead_letter_queue_is_a_failure_and_committed() -> None:
    @worker(topic="tasks", max_retries=0)
    async def fail(message: dict[str, Any]) -> None:
        raise ValueError("always")

    outcome = run(fail, [b"{}", b"no JSON"])
    assert sorted(type(failure.error).__name__ for failure in outcome.failures) == [
        "Undecodable",
        "ValueError",
    ]
    assert (outcome.dead_letters, outcome.committed) == ((), {TopicPartition("tasks", 0): 2})


@pytest.mark.parametrize("way", [run, by_asyncio])
def test_batches_are_told_a_message_at_a_time(way: Any) -> None:
    class Summing(Worker):
        input_topic = "tasks"
        output_topic = "sums"
        batch_size = 2
        batch_timeout = HOUR

        async def process_batch(self, messages: list[dict[str, Any]]) -> list[Any]:
            return [message["n"] * 10 for message in messages]

    outcome = way(Summing, [{"n": 1}, {"n": 2}, {"n": 3}])
    assert [record.value for record in outcome.results] == [b"10", b"20", b"30"]
    assert len(outcome.successes) == 3


def test_a_plain_def_that_takes_its_time_is_waited_for_on_the_virtual_clock() -> None:
    @worker(topic="tasks")
    def slow(message: dict[str, Any]) -> None:
        time.sleep(1.5)  # long enough for a clock that does not wait to be days ahead

    @worker(topic="tasks")
    async def slow_elsewhere(message: dict[str, Any]) -> None:
        await asyncio.to_thread(time.sleep, 1.5)

    assert len(run(slow, [b"{}"]).successes) == 1
    assert len(run(slow_elsewhere, [b"{}"]).successes) == 1


def test_a_worker_that_stops_by_itself_raises_what_it_stopped_with() -> None:
    @worker(topic="tasks", max_retries=0, on_exhausted="stop")
    async def stop(message: dict[str, Any]) -> None:
        raise ValueError("enough")

    with pytest.raises(RetriesExhausted):
        run(stop, [b"{}"])
    with pytest.raises(RetriesExhausted):
        asyncio.run(process_all(stop, [b"{}"]))


def test_a_message_that_is_never_finished_is_named() -> None:
    @worker(topic="tasks")
    async def hang(message: dict[str, Any]) -> None:
        if message:
            await asyncio.Event().wait()

    with pytest.raises(NotFinished, match=r"tasks\[0\]@1") as failed:
        run(hang, [b"{}", b'{"n": 1}'])
    assert failed.value.unfinished == ("tasks[0]@1",)


def test_while_a_worker_runs_messages_can_be_put_and_looked_at() -> None:
    async def meet() -> None:
        begun, go = asyncio.Event(), asyncio.Event()

        @worker(topic="tasks")
        async def wait(message: dict[str, Any]) -> None:
            begun.set()
            await go.wait()

        async with running(wait) as bench:
            bench.put(b"{}")
            await asyncio.wait_for(begun.wait(), 10)
            assert bench.outcome().successes == ()
            with pytest.raises(NotFinished):
                await bench.until_finished(0.05)
            go.set()
            await bench.until_finished()
            assert len(bench.outcome().successes) == 1
            bench.put(b"{}")
            await bench.until_finished()
            assert bench.outcome().committed == {TopicPartition("tasks", 0): 2}

    asyncio.run(meet())


def test_what_a_handler_asks_for_itself_is_waited_for() -> None:
    @worker(topic="tasks")
    async def later(message: dict[str, Any], context: Context) -> None:
        if context.attempt == 1:
            raise RetryAfter(0.1)

    started = time.monotonic()
    (retry,) = asyncio.run(process_all(later, [b"{}"])).retries
    assert retry.delay == 0.1
    assert time.monotonic() - started >= 0.1


def test_leaving_delays_out_makes_no_worker_that_discovery_could_find() -> None:
    before = dict(defined)
    asyncio.run(process_all(Charge, MESSAGES[:1]))
    assert defined == before


def test_what_is_no_worker_is_told() -> None:
    class Base(Worker):
        pass

    for thing in (Base, dict, len):
        with pytest.raises(NoWorker, match="is no worker; pass"):
            run(thing, [])


def test_kafka_that_is_switched_off_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_ENABLED", "false")
    assert len(run(Charge, MESSAGES[:1]).successes) == 1


class Noting:
    def __init__(self) -> None:
        self.closed = False

    @hookimpl
    def on_start(self) -> None:
        raise ValueError("not configured")

    @hookimpl
    async def on_success(self, result: Any, context: Context) -> None:
        await asyncio.sleep(0)
        raise OSError("the receiver is down")

    @hookimpl
    async def wrap_process(self, call_next: Any, message: Any, context: Context) -> Any:
        return await call_next(message, context)

    def close(self) -> None:
        self.closed = True


def test_the_calls_of_a_plugin_are_told_with_their_arguments_and_errors() -> None:
    plugin = Noting()
    outcome = run_with(plugin, Charge, MESSAGES[:1])
    assert [call.hook for call in outcome.calls] == ["on_start", "wrap_process", "on_success"]
    (start,) = outcome.calls_of("on_start")
    assert isinstance(start.error, ValueError)
    (success,) = outcome.calls_of("on_success")
    assert set(success.facts) == {"result", "context"}
    assert success.facts["result"] == {"charged": 1}
    assert isinstance(success.error, OSError)
    assert (len(outcome.successes), plugin.closed) == (1, True)


def test_a_plugin_with_a_slip_of_the_pen_is_refused() -> None:
    class Slip:
        @hookimpl
        def on_succes(self) -> None: ...

    with pytest.raises(PluginError, match="did you mean 'on_success'"):
        run_with(Slip(), Charge, [])


class Hex:
    @hookimpl
    def register_codecs(self) -> dict[str, Codec]:
        return {"hex": Codec(lambda data, kind: kind(data.hex()), bytes.fromhex)}


class HexWorker(Worker):
    input_topic = "tasks"
    output_topic = "results"
    codec = "hex"

    async def process(self, message: str) -> str:
        return message + "00"


def test_a_codec_comes_from_the_plugin_under_test() -> None:
    outcome = run_with(Hex(), HexWorker, [b"\x01\xff"])
    assert [record.value for record in outcome.results] == [b"\x01\xff\x00"]
    assert "register_codecs" in [call.hook for call in outcome.calls]


def test_a_handler_that_takes_none_gets_tombstones_and_another_one_does_not() -> None:
    # Decoding goes straight to the library, which knows nothing of tombstones.
    class Both(Worker):
        input_topic = "t"
        dlq_topic = "t-dlq"

        async def process(self, message: dict[str, Any] | None) -> None: ...

    class Values(Worker):
        input_topic = "t"
        dlq_topic = "t-dlq"

        async def process(self, message: dict[str, Any]) -> None: ...

    messages = [(b"k", b'{"n": 1}'), (b"k", None)]
    assert [success.message for success in run(Both, messages).successes] == [{"n": 1}, None]
    outcome = run(Values, messages)
    assert [success.message for success in outcome.successes] == [{"n": 1}]
    (letter,) = outcome.dead_letters
    assert "a tombstone" in str(letter.error)


@pytest.mark.filterwarnings("error")
def test_the_form_without_a_loop_says_which_one_to_use_inside_of_a_loop() -> None:
    async def a_test() -> None:
        run(Charge, MESSAGES)

    with pytest.raises(LoopRunning, match=r"await process_all\(...\) instead"):
        asyncio.run(a_test())
