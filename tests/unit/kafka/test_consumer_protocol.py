"""What members tell each other: the bytes of other clients and of other versions are understood."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.kafka.consumer_protocol import (
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)
from core_messaging.records import TopicPartition
from core_messaging.rules.partition_assignor import GroupMember

sources = st.builds(TopicPartition, st.text(max_size=20), st.integers(0, 2**31 - 1))


def text(value: str) -> bytes:
    return struct.pack(">h", len(value.encode())) + value.encode()


def topics(*names: str) -> bytes:
    return struct.pack(">i", len(names)) + b"".join(map(text, names))


def owned(topic: str, *numbers: int) -> bytes:
    return struct.pack(">i", 1) + text(topic) + struct.pack(f">i{len(numbers)}i", len(numbers), *numbers)


def data(value: bytes | None) -> bytes:
    return struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value


@given(st.frozensets(st.text(max_size=20)), st.frozensets(sources), st.integers(-1, 2**31 - 1))
def test_a_subscription_is_read_as_it_was_written(
    names: frozenset[str], held: frozenset[TopicPartition], generation: int
) -> None:
    member = GroupMember(names, tuple(sorted(held)), generation)
    assert decode_subscription(encode_subscription(member)) == member


@given(st.frozensets(sources))
def test_an_assignment_is_read_as_it_was_written(share: frozenset[TopicPartition]) -> None:
    assert decode_assignment(encode_assignment(share)) == share


def test_no_bytes_are_no_partition() -> None:
    assert decode_assignment(b"") == frozenset()


def test_version_0_owns_nothing() -> None:
    assert decode_subscription(b"\0\0" + topics("t") + data(None)) == GroupMember(frozenset("t"), (), -1)


def test_version_1_of_java_has_its_generation_in_the_user_data() -> None:
    found = decode_subscription(b"\0\1" + topics("t") + data(struct.pack(">i", 7)) + owned("t", 2, 5))
    assert found == GroupMember(frozenset("t"), (TopicPartition("t", 2), TopicPartition("t", 5)), 7)


def test_version_1_of_librdkafka_has_its_generation_at_the_end_of_the_user_data() -> None:
    user_data = owned("t", 2) + struct.pack(">i", 7)
    found = decode_subscription(b"\0\1" + topics("t") + data(user_data) + owned("t", 2))
    assert found == GroupMember(frozenset("t"), (TopicPartition("t", 2),), 7)


def test_version_2_has_a_field_for_its_generation() -> None:
    found = decode_subscription(
        b"\0\2" + topics("t") + data(None) + struct.pack(">i", -1) + struct.pack(">i", 9)
    )
    assert found == GroupMember(frozenset("t"), (), 9)


def test_a_version_of_the_future_is_read_as_far_as_it_is_known() -> None:
    sent = b"\0\x09" + topics("t") + data(b"") + owned("t", 1) + struct.pack(">i", 4) + text("rack") + b"more"
    assert decode_subscription(sent) == GroupMember(frozenset("t"), (TopicPartition("t", 1),), 4)
