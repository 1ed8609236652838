"""Encodes and decodes what the members of a group tell each other: the topics that they read, the partitions they own.

The broker passes these bytes on and does not read them. The consumers of Java and librdkafka write the same format. Each
version adds fields at the end, so a reader of version 3 reads every version as far as it knows the fields.
https://kafka.apache.org/protocol.html#protocol_messages (ConsumerProtocolSubscription, ConsumerProtocolAssignment)
"""

from __future__ import annotations

import io
import struct
from collections import defaultdict
from collections.abc import Iterable

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.protocol.types import Array, Bytes, Int16, Int32, String

from core_messaging.records import TopicPartition
from core_messaging.rules.partition_assignor import GroupMember

COOPERATIVE_STICKY = "cooperative-sticky"  # the name of the assignor in all clients

_VERSION = 3
_WITH_OWNED, _WITH_GENERATION = 1, 2  # the first versions that have these fields
_TEXT = String("utf-8")
_TOPICS = Array(_TEXT)
_PARTITIONS = Array(("topic", _TEXT), ("partitions", Array(Int32)))
_GENERATION = struct.Struct(">i")


def encode_subscription(member: GroupMember) -> bytes:
    """Return what *member* sends with JoinGroup. The generation is in the user data too, where older clients read it."""
    return b"".join(
        (
            Int16.encode(_VERSION),
            _TOPICS.encode(sorted(member.topics)),
            Bytes.encode(_GENERATION.pack(member.generation)),
            _PARTITIONS.encode(_by_topic(member.owned)),
            Int32.encode(member.generation),
            _TEXT.encode(None),  # its rack
        )
    )


def decode_subscription(data: bytes) -> GroupMember:
    """Decode what another member has sent, with any client and version. Raises ValueError."""
    stream = io.BytesIO(data)
    version = Int16.decode(stream)
    topics = frozenset(_TOPICS.decode(stream) or ())
    user_data = Bytes.decode(stream) or b""
    owned: tuple[TopicPartition, ...] = ()
    generation = _generation_in(user_data)
    if version >= _WITH_OWNED:
        found = _PARTITIONS.decode(stream) or ()
        owned = tuple(TopicPartition(topic, number) for topic, numbers in found for number in numbers)
    if version >= _WITH_GENERATION:
        generation = Int32.decode(stream)
    return GroupMember(topics, owned, generation)


def _generation_in(user_data: bytes) -> int:
    """Return the generation. Java's client writes it alone, librdkafka writes it after the partitions that it owned."""
    if len(user_data) < _GENERATION.size:
        return -1
    (generation,) = _GENERATION.unpack(user_data[-_GENERATION.size :])
    return int(generation)


def encode_assignment(share: Iterable[TopicPartition]) -> bytes:
    """Return the answer of the leader for one member: its partitions."""
    return bytes(ConsumerProtocolMemberAssignment(1, _by_topic(share), b"").encode())


def decode_assignment(data: bytes) -> frozenset[TopicPartition]:
    """Decode the partitions that the leader assigns to a member; no bytes mean no partitions."""
    if not data:
        return frozenset()
    found = ConsumerProtocolMemberAssignment.decode(data)
    return frozenset(TopicPartition(*source) for source in found.partitions())


def _by_topic(sources: Iterable[TopicPartition]) -> list[tuple[str, list[int]]]:
    found: dict[str, list[int]] = defaultdict(list)
    for topic, number in sorted(sources):
        found[topic].append(number)
    return sorted(found.items())
