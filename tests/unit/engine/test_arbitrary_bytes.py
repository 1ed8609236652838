"""Whatever bytes are in a topic, each record is processed or dead-lettered byte for byte, and none stops the others."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core_messaging import Worker, worker
from core_messaging.rules.dead_letter import OURS
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.testing import MemoryBroker, run_virtually
from core_messaging.worker import as_worker


class AsStruct(msgspec.Struct):
    n: int
    tags: list[str] = []


@dataclasses.dataclass
class AsDataclass:
    n: int
    name: str = ""


class AsTypedDict(TypedDict):
    n: int


class AsModel(pydantic.BaseModel):
    n: int
    name: str = ""


NASTY = [
    b"[" * 100_000,
    b'{"n":' * 5_000,
    b'{"n": 1e999}',
    b'{"n": 1' + b"0" * 5_000 + b"}",
    b'{"n": 1, "n": 2}',
    b'{"name": "\\ud800", "n": 1}',
    b"\xef\xbb\xbf{}",
    b'{"n": NaN}',
    b"null",
    b"\x00",
    b"\xff" * 100,
    b"",
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just("n"), inner, max_size=4),
)
VALUES = st.none() | st.binary() | st.sampled_from(NASTY) | JSON.map(lambda fact: json.dumps(fact).encode())
KEYS = st.none() | st.binary(max_size=20)
HEADERS = st.lists(
    st.tuples(st.sampled_from(["a", "core-attempts", "core-tenant", "traceparent", "é", ""]), st.binary()),
    max_size=4,
)
RECORDS = st.lists(st.tuples(VALUES, KEYS, HEADERS), min_size=1, max_size=12)

Seen = list[Any]
GROUP = "fuzz"


def worker_for(annotation: Any, seen: Seen) -> type[Worker]:
    async def handle(message: Any) -> Any:
        seen.append(message)
        return message

    handle.__annotations__["message"] = annotation
    options = {"output_topic": "out", "dlq_topic": "dlq", "concurrency": 3, "max_retries": 0}
    made = as_worker(worker(topic="in", group_id=GROUP, **options)(handle))
    assert made is not None
    return made


@pytest.mark.parametrize(
    "annotation",
    [dict, str, bytes, AsStruct, AsDataclass, AsTypedDict, AsModel, AsStruct | None, list[int]],
    ids=str,
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=RECORDS)
def test_every_record_is_processed_or_dead_lettered_as_it_came(annotation: Any, records: list[Any]) -> None:
    broker = MemoryBroker({"in": 2, "out": 2, "dlq": 2})
    for value, key, headers in records:
        broker.put("in", value, key, headers)
    seen: Seen = []
    run_virtually(work_off(worker_for(annotation, seen), broker, len(records)))
    letters = broker.records("dlq")
    came = [(value, key, plain(headers)) for value, key, headers in records]
    for letter in letters:
        came.remove((letter.value, letter.key, plain(letter.headers)))
    # What is left was processed, once each: there are no retries. A result that is no JSON was seen as well.
    kinds = [dict(letter.headers)["core-error-type"] for letter in letters]
    assert len(came) + kinds.count(b"Unencodable") == len(seen)
    assert set(kinds) <= {b"Unencodable", b"Undecodable"}


def plain(headers: Any) -> list[tuple[str, bytes]]:
    """Without those that a dead letter adds or replaces."""
    return [pair for pair in headers if pair[0] not in OURS]


async def work_off(made: type[Worker], broker: MemoryBroker, count: int) -> None:
    options = RunOptions(settings=Settings(), broker=broker, handle_signals=False)
    running = asyncio.ensure_future(run_workers([made], options))
    async with asyncio.timeout(600):
        while sum(commit.offset for commit in broker.committed(GROUP, "in").values()) < count:
            await asyncio.sleep(1)
            if running.done():
                break
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled() or running.exception() is None
