"""Every feature of the first sketch, spelled as it was spelled there, one test each, on a real broker."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import signal
import sys
import textwrap
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from core.messaging import (
    RetryPolicy,
    Worker,
    get_all_workers,
    get_producer,
    get_worker,
    list_workers,
    run_all_workers,
    run_worker,
    worker,
)
from core.settings import Settings
from core_messaging.config import WorkerConfig
from core_messaging.worker import as_worker, config_of, defined
from tests.integration.brokers import RunningBroker
from tests.integration.commands import running_core
from tests.integration.harness import (
    publish,
    read,
    run,
    running,
    settings_for,
    total_committed,
    until,
    until_committed,
)

logger = logging.getLogger(__name__)


@pytest.fixture(autouse=True)
def only_this_tests_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    before = dict(defined)
    defined.clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    defined.clear()
    defined.update(before)
    for name in [name for name in sys.modules if name.split(".")[0] == "src"]:
        del sys.modules[name]


def as_json(*messages: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    return [(b"k", json.dumps(message).encode()) for message in messages]


def test_decorator_worker(broker: RunningBroker) -> None:
    topic = broker.make_topic()
    done: list[Any] = []

    @worker(
        topic=topic,
        group_id=f"{topic}-processor",
    )
    async def process_task(message: dict) -> dict:  # type: ignore[type-arg] # as users write it
        """Process a single task."""
        done.append(message["data"])
        return {"status": "completed", "result": message["data"]}

    async def test() -> None:
        await publish(broker.address, topic, as_json({"data": 7}))
        async with running(broker.address, as_worker(process_task) or Worker) as task:
            await until(lambda: done == [7], task)
            await until_committed(broker.address, f"{topic}-processor", 0)
        assert await process_task({"data": 1}) == {"status": "completed", "result": 1}

    run(test())


def test_class_based_worker_with_process_on_success_and_on_error_only_after_all_retries(
    broker: RunningBroker,
) -> None:
    topic = broker.make_topic()
    calls: list[tuple[Any, ...]] = []

    class EmailWorker(Worker):
        input_topic = topic
        group_id = topic
        concurrency = 4
        max_retries = 3
        initial_delay = 0.01

        async def process(self, message: dict) -> dict:  # type: ignore[type-arg]
            """Process single message."""
            calls.append(("process", message["to"]))
            if message["to"] == "nobody":
                raise ValueError("no such mailbox")
            return {"sent": True}

        async def on_error(self, message: dict, error: Exception) -> None:  # type: ignore[type-arg]
            """Called on processing error."""
            calls.append(("on_error", message["to"], str(error)))

        async def on_success(self, message: dict, result: Any) -> None:  # type: ignore[type-arg]
            """Called on success."""
            calls.append(("on_success", message["to"], result))

    async def test() -> None:
        await publish(broker.address, topic, as_json({"to": "somebody"}, {"to": "nobody"}))
        async with running(broker.address, EmailWorker) as task:
            await until(lambda: any(call[0] == "on_error" for call in calls), task)

    run(test())
    assert calls == [
        ("process", "somebody"),
        ("on_success", "somebody", {"sent": True}),
        *[("process", "nobody")] * 4,
        ("on_error", "nobody", "no such mailbox"),
    ]


def test_worker_options() -> None:
    class MyWorker(Worker):
        input_topic = "tasks"
        output_topic = "results"  # Optional: publish results
        group_id = "my-worker"

        # Concurrency
        concurrency = 4  # Parallel processing

        # Retry
        max_retries = 3
        retry_backoff = "exponential"  # "linear", "fixed"

        # Batching
        batch_size = 10  # Process N messages at once
        batch_timeout = 5.0  # Max wait for batch (seconds)

        # Dead Letter Queue
        dlq_topic = "tasks-dlq"  # Failed messages go here

    config = config_of(MyWorker)
    assert (config.input_topics, config.output_topic, config.group_id) == (("tasks",), "results", "my-worker")
    assert (config.concurrency, config.max_retries, config.retry_backoff) == (4, 3, "exponential")
    assert (config.batch_size, config.batch_timeout, config.dlq_topic) == (10, 5.0, "tasks-dlq")


def test_concurrency_is_how_many_messages_are_processed_at_once(broker: RunningBroker) -> None:
    topic = broker.make_topic()
    inside, most = 0, 0

    class Parallel(Worker):
        input_topic = topic
        group_id = topic
        concurrency = 4

        async def process(self, message: dict) -> None:  # type: ignore[type-arg]
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.05)
            inside -= 1

    async def test() -> None:
        await publish(broker.address, topic, [b"{}"] * 40)
        async with running(broker.address, Parallel):
            await until_committed(broker.address, topic, 40)

    run(test())
    assert most == 4


def test_batch_processing(broker: RunningBroker) -> None:
    topic, out = broker.make_topic(), broker.make_topic()
    sizes: list[int] = []

    class BatchWorker(Worker):
        input_topic = topic
        output_topic = out
        group_id = topic
        batch_size = 100
        batch_timeout = 0.5

        async def process_batch(self, messages: list[dict]) -> list:  # type: ignore[type-arg]
            """Process multiple messages at once."""
            sizes.append(len(messages))
            results = []
            for msg in messages:
                results.append({"n": msg["n"] * 2})  # noqa: PERF401 - as it was spelled
            return results

    async def test() -> list[Any]:
        await publish(broker.address, topic, as_json(*({"n": n} for n in range(250))))
        async with running(broker.address, BatchWorker):
            found = await read(broker.address, out, 250)
            await until_committed(broker.address, topic, 250)
        return found

    assert [json.loads(stored.value) for stored in run(test())] == [{"n": 2 * n} for n in range(250)]
    # Two full batches; the rest came within batch_timeout.
    assert sorted(sizes) == [50, 100, 100]


@pytest.mark.parametrize(
    ("backoff", "gaps"), [("fixed", [0.1, 0.1]), ("linear", [0.1, 0.2]), ("exponential", [0.2, 0.4])]
)
def test_retry_policy_and_backoff_then_dlq(broker: RunningBroker, backoff: str, gaps: list[float]) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()
    times: list[float] = []

    @worker(
        topic=topic,
        group_id=topic,
        max_retries=2,
        retry_backoff=backoff,
        initial_delay=0.1,
        dlq_topic=dlq,
    )
    async def process_task(message: dict) -> None:  # type: ignore[type-arg]
        # If this fails, it will retry with backoff
        # After max_retries, message goes to dlq_topic
        times.append(asyncio.get_running_loop().time())
        raise ValueError("boom")

    async def test() -> list[Any]:
        await publish(broker.address, topic, as_json({"id": 1}))
        async with running(broker.address, as_worker(process_task) or Worker):
            return await read(broker.address, dlq, 1)

    (letter,) = run(test())
    assert (letter.key, json.loads(letter.value)) == (b"k", {"id": 1})
    waited = [after - before for before, after in itertools.pairwise(times)]
    # Never earlier than the formula says; how much later depends on the machine.
    assert len(waited) == 2
    assert all(actual >= wanted - 0.001 for actual, wanted in zip(waited, gaps, strict=True))


def test_a_retry_policy_object(broker: RunningBroker) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()
    tries: list[int] = []

    @worker(
        topic=topic,
        group_id=topic,
        dlq_topic=dlq,
        retry_backoff=RetryPolicy(backoff="fixed", initial_delay=0.01, max_retries=1, give_up_on=(KeyError,)),
    )
    async def process_task(message: dict) -> None:  # type: ignore[type-arg]
        tries.append(message["id"])
        raise KeyError("never") if message["id"] == 1 else OSError("later")

    async def test() -> None:
        await publish(broker.address, topic, as_json({"id": 1}, {"id": 2}))
        async with running(broker.address, as_worker(process_task) or Worker):
            await read(broker.address, dlq, 2)

    run(test())
    assert tries == [1, 2, 2]


def test_output_topic(broker: RunningBroker) -> None:
    topic, out = broker.make_topic(), broker.make_topic()

    @worker(
        topic=topic,
        output_topic=out,
        group_id=topic,
    )
    async def process_order(message: dict) -> dict | None:  # type: ignore[type-arg]
        # Return value is published to output_topic
        return None if message["id"] == 2 else {"order_id": message["id"], "status": "processed"}

    async def test() -> list[Any]:
        headers = [("traceparent", b"00-ab-cd-01"), ("other", b"x")]
        records = [(key, value, headers) for key, value in as_json({"id": 1}, {"id": 2}, {"id": 3})]
        await publish(broker.address, topic, records)
        async with running(broker.address, as_worker(process_order) or Worker):
            found = await read(broker.address, out, 2)
            await until_committed(broker.address, topic, 3)
        return found

    stored = run(test())
    assert [json.loads(s.value) for s in stored] == [
        {"order_id": 1, "status": "processed"},
        {"order_id": 3, "status": "processed"},
    ]
    assert {s.key for s in stored} == {b"k"}
    assert {s.headers for s in stored} == {(("traceparent", b"00-ab-cd-01"),)}


def test_publish_tasks(broker: RunningBroker) -> None:
    topic = broker.make_topic()
    Path("src").mkdir()
    Path("src/settings.py").write_text(
        "from core.settings import Settings\n"
        "class AppSettings(Settings):\n"
        "    kafka_enabled: bool = True\n"
        f'    kafka_bootstrap_servers: str = "{broker.address}"\n'
    )

    async def test() -> list[Any]:
        producer = get_producer("kafka")

        # Publish task
        await producer.send(topic=topic, message={"type": "process", "data": {"x": 1}}, key="task-123")
        await producer.close()
        return await read(broker.address, topic, 1)

    (stored,) = run(test())
    assert (stored.key, json.loads(stored.value)) == (b"task-123", {"type": "process", "data": {"x": 1}})


def test_worker_registry(broker: RunningBroker) -> None:
    topic = broker.make_topic()
    done: list[Any] = []

    class EmailWorker(Worker):
        input_topic = topic
        group_id = topic

        async def process(self, message: dict) -> None:  # type: ignore[type-arg]
            done.append(message["n"])

    # Get worker config
    config = get_worker("EmailWorker")
    assert isinstance(config, WorkerConfig)
    assert config.input_topics == (topic,)

    # List all workers
    names = list_workers()
    assert "EmailWorker" in names
    assert get_all_workers()["EmailWorker"] == config

    # Run programmatically, by class, by name, and all of them
    async def test() -> None:
        settings = settings_for(broker.address)
        runs: list[Coroutine[Any, Any, None]] = [
            run_worker(EmailWorker, settings=settings),
            run_worker("EmailWorker", settings=settings),
            run_all_workers(settings=settings),
        ]
        for count, each in enumerate(runs):
            await publish(broker.address, topic, as_json({"n": count}))
            task = asyncio.create_task(each)
            await until(lambda count=count: done == list(range(count + 1)), task)  # type: ignore[misc] # binds the loop's value
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await total_committed(broker.address, topic) == 3

    run(test())


class TemporaryError(Exception):
    pass


class PermanentError(Exception):
    pass


def test_error_handling(broker: RunningBroker) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()
    notified: list[str] = []
    tried: list[str] = []

    class MyWorker(Worker):
        input_topic = topic
        dlq_topic = dlq
        group_id = topic
        initial_delay = 0.01

        async def process(self, message: dict) -> Any:  # type: ignore[type-arg]
            tried.append(message["kind"])
            try:
                raise {"temporary": TemporaryError, "permanent": PermanentError}[message["kind"]]("boom")
            except TemporaryError:
                # Re-raise to trigger retry
                raise
            except PermanentError as e:
                # Log and don't retry
                logger.error("Permanent error: %s", e)  # noqa: TRY400
                return {"error": str(e)}

        async def on_error(self, message: dict, error: Exception) -> None:  # type: ignore[type-arg]
            # Called after all retries exhausted
            # Message will be sent to dlq_topic
            notified.append(f"{type(error).__name__} after {tried.count(message['kind'])}")

    async def test() -> list[Any]:
        await publish(broker.address, topic, as_json({"kind": "permanent"}, {"kind": "temporary"}))
        async with running(broker.address, MyWorker):
            return await read(broker.address, dlq, 1)

    (letter,) = run(test())
    assert json.loads(letter.value) == {"kind": "temporary"}
    assert notified == ["TemporaryError after 4"]
    assert tried.count("permanent") == 1


def test_app_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)

    class AppSettings(Settings):
        kafka_enabled: bool = True
        kafka_bootstrap_servers: str = "localhost:9092"

    assert AppSettings().kafka_enabled is True
    monkeypatch.setenv("KAFKA_ENABLED", "false")
    assert AppSettings().kafka_enabled is False


def test_monitoring_by_a_base_class_of_ones_own(broker: RunningBroker) -> None:
    topic = broker.make_topic()
    counted: list[str] = []

    class Monitored(Worker):
        async def on_success(self, message: dict, result: Any) -> None:  # type: ignore[type-arg]
            counted.append("worker.success")

        async def on_error(self, message: dict, error: Exception) -> None:  # type: ignore[type-arg]
            counted.append("worker.error")

    class Tasks(Monitored):
        input_topic = topic
        group_id = topic
        max_retries = 0

        async def process(self, message: dict) -> None:  # type: ignore[type-arg]
            if message["bad"]:
                raise ValueError

    async def test() -> None:
        await publish(broker.address, topic, as_json({"bad": False}, {"bad": True}))
        async with running(broker.address, Tasks):
            await until_committed(broker.address, topic, 2)

    run(test())
    assert counted == ["worker.success", "worker.error"]


def test_a_workers_own_init_setup_and_teardown(broker: RunningBroker) -> None:
    topic = broker.make_topic()
    life: list[str] = []

    class Own(Worker):
        input_topic = topic
        group_id = topic

        def __init__(self) -> None:
            life.append("init")

        async def setup(self) -> None:
            life.append("setup")

        async def teardown(self) -> None:
            life.append("teardown")

        def process(self, message: dict) -> None:  # type: ignore[type-arg]
            life.append("process")

    async def test() -> None:
        await publish(broker.address, topic, as_json({}, {}))
        async with running(broker.address, Own):
            await until_committed(broker.address, topic, 2)

    run(test())
    assert life == ["init", "setup", "process", "process", "teardown"]


COMPLETE = {
    "src/settings.py": """
        from core.settings import Settings

        class AppSettings(Settings):
            kafka_enabled: bool = True
            kafka_bootstrap_servers: str = "{address}"
        """,
    "src/services/email.py": """
        class EmailService:
            async def send(self, to, subject, template, context):
                if to == "nobody":
                    raise ValueError("no such mailbox")
                with open("sent", "a") as file:
                    print(to, subject, template, context["name"], file=file)
        """,
    "src/workers/email.py": """
        import logging

        from core.messaging import Worker
        from src.services.email import EmailService

        logger = logging.getLogger(__name__)

        class EmailWorker(Worker):
            input_topic = "{topic}"
            group_id = "{topic}"
            concurrency = 4
            max_retries = 1
            retry_backoff = "exponential"
            initial_delay = 0.01
            dlq_topic = "{dlq}"

            def __init__(self):
                self.email_service = EmailService()

            async def process(self, message: dict) -> dict:
                await self.email_service.send(
                    to=message["to"],
                    subject=message["subject"],
                    template=message["template"],
                    context=message.get("context", {{}}),
                )
                return {{"sent": True, "to": message["to"]}}

            async def on_error(self, message: dict, error: Exception):
                logger.error(f"Email failed: {{message['to']}} - {{error}}")

            async def on_success(self, message: dict, result):
                logger.info(f"Email sent: {{result['to']}}")
        """,
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_complete_example_run_by_core_kafka_worker_from_its_folder(
    broker: RunningBroker, tmp_path: Path, number: signal.Signals
) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()
    for name, source in COMPLETE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source.format(address=broker.address, topic=topic, dlq=dlq)))
    mails = [
        {"to": to, "subject": "Hi", "template": "welcome", "context": {"name": to}}
        for to in ("ada", "nobody")
    ]
    run(publish(broker.address, topic, as_json(*mails)))
    with running_core("kafka", "worker", "EmailWorker", folder=tmp_path) as process:
        process.until_said("Email sent: ada")
        process.until_said("Email failed: nobody - no such mailbox")
        (letter,) = run(read(broker.address, dlq, 1))
        process.signal(number)
        assert process.wait() == 0
    assert (tmp_path / "sent").read_text() == "ada Hi welcome ada\n"
    assert json.loads(letter.value or b"") == mails[1]
    assert run(total_committed(broker.address, topic)) == 2
