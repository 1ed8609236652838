"""Which keys follow a dead letter, and that as many as are remembered fit beside a commit."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.blocked_keys import CLEAR, HEADER, MOST, REPLAY, SIZE, BlockedKeys, unblocking
from core_messaging.rules.commit_metadata import LIMIT, MAX_ATTEMPTS, SURELY_FIT, CommitNote, Ownership

KEYS = st.binary(max_size=12)


@given(st.lists(st.tuples(st.booleans(), KEYS), max_size=60))
def test_it_remembers_what_was_added_and_not_discarded_also_in_the_next_life(
    steps: list[tuple[bool, bytes]],
) -> None:
    keys, model = BlockedKeys(), set()
    for adds, key in steps:
        if adds:
            keys.add(key)
            model.add(key)
        else:
            keys.discard(key)
            model.discard(key)
    again = BlockedKeys(keys.packed())
    assert all((key in again) == (key in model) for _, key in steps)
    assert (len(again), None in again) == (len(model), False)


def test_there_are_never_more_than_fit_also_while_their_dead_letters_are_on_their_way() -> None:
    keys = BlockedKeys()
    assert [keys.reserve(b"%d" % n) for n in range(MOST + 5)] == [True] * MOST + [False] * 5
    assert keys.reserve(b"0")  # the same once more needs no second place
    assert b"0" not in keys
    for n in range(MOST):
        keys.add(b"%d" % n)
    assert not keys.reserve(b"another")
    assert keys.reserve(None)
    keys.discard(b"7")
    assert keys.reserve(b"another")
    assert not keys.reserve(b"one too many")


def test_as_many_as_are_remembered_fit_with_everything_else_that_surely_fits() -> None:
    chance = random.Random(1)
    keys = BlockedKeys(chance.randbytes(SIZE * MOST))
    runs, position = [], 2**40
    for _ in range(SURELY_FIT):
        first = position + chance.randint(1, 2**20)
        position = first + chance.randint(1, 2**20)
        runs.append((first, position - 1))
    attempts = {2**40 + chance.randint(0, 2**30): chance.randint(2, 99) for _ in range(MAX_ATTEMPTS)}
    note = CommitNote.of(2**40, runs, attempts, Ownership(is_owned=True, delivered=position), keys.packed())
    assert note.size <= LIMIT
    assert CommitNote.decode(note.encode()).blocked == keys.packed()


def test_the_word_that_lifts_a_block() -> None:
    assert unblocking([("a", b"b"), (HEADER, REPLAY)]) == REPLAY
    assert unblocking([(HEADER, b"what?"), (HEADER, CLEAR)]) == CLEAR
    assert unblocking([(HEADER, b"")]) is None
