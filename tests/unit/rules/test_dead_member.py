"""Who may be declared dead: never a member of another group, cluster, machine or file, and nobody by a note that is damaged."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_messaging.rules.dead_member import LARGEST, VERSION, MemberNote, Origin, dead_member, encode_note

FACTS = ("cluster", "group", "boot", "host", "file")
texts = st.text(min_size=1, max_size=40)
origins = st.builds(Origin, **dict.fromkeys(FACTS, texts))
HERE = Origin("cluster-1", "mail", "boot-1", "host-1", "1:2")


@settings(deadline=None)
@given(origins, texts)
def test_a_note_of_the_same_origin_names_its_member(origin: Origin, member_id: str) -> None:
    assert dead_member(encode_note(origin, member_id), origin) == member_id


@settings(deadline=None)
@given(origins, origins, texts)
def test_a_note_of_another_origin_declares_nobody_dead(origin: Origin, here: Origin, member_id: str) -> None:
    found = dead_member(encode_note(origin, member_id), here)
    assert found == (member_id if origin == here else None)


# One fault for each: another cluster, another group, a restart, a shared folder, a copied file.
@pytest.mark.parametrize("fact", FACTS)
def test_one_fact_that_differs_is_enough(fact: str) -> None:
    assert dead_member(encode_note(msgspec.structs.replace(HERE, **{fact: "other"}), "m-1"), HERE) is None


@pytest.mark.parametrize("fact", FACTS)
def test_where_a_fact_is_not_known_nobody_is_declared_dead(fact: str) -> None:
    unknown = msgspec.structs.replace(HERE, **{fact: ""})
    assert dead_member(encode_note(unknown, "m-1"), unknown) is None


@settings(deadline=None)
@given(texts, st.data())
def test_a_note_that_was_cut_off_declares_nobody_dead(member_id: str, data: st.DataObject) -> None:
    # The process was killed while it wrote, or the disk was full.
    note = encode_note(HERE, member_id)
    assert dead_member(note[: data.draw(st.integers(0, len(note) - 1))], HERE) is None


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_what_is_no_note_declares_nobody_dead(data: bytes) -> None:
    assert dead_member(data, HERE) is None


def test_a_note_of_a_later_version_or_without_a_member_declares_nobody_dead() -> None:
    assert dead_member(msgspec.json.encode(MemberNote(VERSION + 1, HERE, "m-1")), HERE) is None
    assert dead_member(encode_note(HERE, ""), HERE) is None


def test_a_note_that_is_too_long_is_neither_written_nor_read() -> None:
    assert encode_note(HERE, "m" * LARGEST) == b""
    assert dead_member(encode_note(HERE, "m-1").ljust(LARGEST + 1), HERE) is None
