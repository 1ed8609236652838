"""The broker that the settings name, and the codecs that workers name, made by plugins."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core_messaging import Codec, Worker
from core_messaging.errors import (
    BrokenWorker,
    PluginError,
    Undecodable,
    Unencodable,
)
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.plugins.factories import broker_of
from core_messaging.plugins.manager import load
from core_messaging.producer import Producer
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.testing import run_with
from core_messaging.worker import config_of
from tests.unit.plugins.conftest import Install
from tests.unit.plugins.hexed_worker import Hex, Hexed
from tests.unit.plugins.plugin_sources import ACME, BROKER, HEAD, SETTINGS


def test_the_setting_chooses_a_broker_of_a_plugin_also_for_producers(install: Install) -> None:
    install("acme-broker", BROKER)
    assert isinstance(broker_of(ACME, load(ACME).registrations()), MemoryBroker)

    async def send() -> int:
        async with Producer(ACME, "here") as producer:
            return (await producer.send(topic="tasks", message={"n": 1})).offset

    assert asyncio.run(send()) == 0


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        (
            "lambda settings: 1 / 0",
            r"the broker 'acme' of acme-broker \(acme-broker 1.0\) cannot be made: ZeroDiv",
        ),
        ("lambda settings: object()", "lacks address, consumer, publisher, topics"),
    ],
)
def test_a_factory_that_fails_is_one_line_that_names_its_plugin(
    install: Install, factory: str, says: str
) -> None:
    install("acme-broker", HEAD + f"def register_brokers(): return {{'acme': {factory}}}\n")
    with pytest.raises(PluginError, match=says):
        broker_of(ACME)


def test_a_worker_decodes_its_messages_and_encodes_its_results_with_its_codec() -> None:
    plugin = Hex()
    broker = run_with(plugin, Hexed, [b"\xff", b"\xab", None])
    assert [record.value for record in broker.records("results")] == [b"\x00", b"\xab"]
    assert set(plugin.annotations) == {str}
    assert not broker.records("tasks-dlq")  # str | None takes the tombstone


def test_a_tombstone_is_undecodable_unless_the_annotation_takes_none() -> None:
    decode = Codec(lambda data, kind: data.hex(), bytes.fromhex).decoder_for(str)
    with pytest.raises(Undecodable, match="tombstone"):
        decode(None)


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_whatever_decode_raises_makes_one_message_undecodable_and_the_next_one_is_done(
    error: type[BaseException],
) -> None:
    broker = run_with(Hex(lambda: error("bad")), Hexed, [b"bad", b"\xff"])
    (letter,) = broker.records("tasks-dlq")
    headers = dict(letter.headers)
    assert (letter.value, headers["core-error-type"], headers["core-attempts"]) == (
        b"bad",
        b"Undecodable",
        b"0",
    )
    assert error.__name__.encode() in headers["core-error-message"]
    assert [record.value for record in broker.records("results")] == [b"\x00"]


def test_a_result_that_encode_refuses_is_dead_lettered() -> None:
    broker = run_with(Hex(), Hexed, [b"\x01", b"\xff"])
    (letter,) = broker.records("tasks-dlq")
    assert dict(letter.headers)["core-error-type"] == b"Unencodable"
    assert len(broker.records("results")) == 1


def test_what_encode_returns_has_to_be_bytes() -> None:
    async def coroutine(value: Any) -> bytes:
        return b""

    for encode in (lambda value: "text", coroutine):
        with pytest.raises(Unencodable, match="not bytes"):
            Codec(lambda data, kind: data, encode).encoder(1)  # type: ignore[arg-type] # wrong on purpose


def test_a_worker_whose_codec_nobody_registers_does_not_start() -> None:
    broker = MemoryBroker()
    broker.put("tasks", b"x")
    options = RunOptions(settings=SETTINGS, broker=broker, handle_signals=False)
    with pytest.raises(BrokenWorker, match=r"worker 'Hexed'.*no codec 'hex': no plugin registers a codec"):
        asyncio.run(run_workers([Hexed], options))
    assert not broker.committed("hexed", "tasks")


class Foreign:
    """No type that anything of ours decodes to."""


def test_a_class_that_only_a_codec_knows_is_taken_with_a_codec() -> None:
    class Reads(Worker):
        input_topic = "tasks"
        codec = "hex"

        async def process(self, message: Foreign) -> None: ...

    assert config_of(Reads).codec == "hex"
