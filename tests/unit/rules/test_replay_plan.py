"""What a replay does: each letter at most once, in the order of its key, to where it came from, as it came."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.partitioner import partition_of
from core_messaging.records import Outgoing
from core_messaging.rules.blocked_keys import CLEAR, REPLAY, unblocking
from core_messaging.rules.dead_letter import OURS
from core_messaging.rules.letter_ledger import Ledger
from core_messaging.rules.letter_selection import Selection
from core_messaging.rules.letters import FOLLOWS, Letter
from core_messaging.rules.replay_plan import KeyOfGroup, Order, Plan, Reason, Survey, Taken
from tests.unit.rules.letters import letter
from tests.unit.rules.records import PlainRecord

KEYS = (b"a", b"b", b"c", None)


def letter_of(original: int, partition: int, **others: Any) -> Letter:
    """The letter of the record at *original* of *partition*. One record has one key."""
    return letter(
        key=KEYS[(original + partition) % len(KEYS)], original=original, partition=partition, **others
    )


queues = st.lists(
    st.builds(
        letter_of,
        original=st.integers(0, 30),
        partition=st.integers(0, 3),
        error=st.sampled_from(["ValueError", "TimeoutError", FOLLOWS]),
        group=st.sampled_from(["g", "h"]),
        headers=st.sampled_from(
            [(), (("tenant", b"7"),), (("core-replays", b"2"),), (("core-unblock", b"replay"),)]
        ),
    ),
    max_size=30,
)
orders = st.builds(
    Order,
    st.builds(Selection, error_type=st.none() | st.just("ValueError"), key=st.none() | st.just(b"a")),
    st.sampled_from(["replayed", "dropped"]),
)


def carried_out(
    letters: list[Letter], order: Order, ledger: Ledger
) -> tuple[list[Taken], Plan, set[KeyOfGroup]]:
    following: frozenset[str] = frozenset()
    while True:
        survey = Survey(order.selection, ledger, following, again=order.again)
        for each in letters:
            survey.add(each)
        if survey.is_complete:
            break
        following = survey.groups
    plan = Plan(order, ledger, survey.keys, {"orders": 2})
    taken = [found for found in map(plan.decide, letters) if found is not None]
    return taken, plan, survey.keys


@given(letters=queues, order=orders)
def test_a_second_time_nothing_is_left_to_do(letters: list[Letter], order: Order) -> None:
    ledger = Ledger()
    taken, plan, _ = carried_out(letters, order, ledger)
    assert len({each.letter.identity() for each in taken}) == len(taken) == plan.taken
    for each in taken:
        ledger.note(each.letter, order.state)
    assert carried_out(letters, order, ledger)[0] == []
    # Unless somebody asks for it.
    again, _, _ = carried_out(letters, Order(order.selection, order.state, again=True), ledger)
    assert {each.letter.identity() for each in taken} <= {each.letter.identity() for each in again}


@given(letters=queues, order=orders)
def test_what_is_selected_is_taken_with_the_whole_of_its_key_and_nothing_else_is(
    letters: list[Letter], order: Order
) -> None:
    taken, plan, keys = carried_out(letters, order, Ledger())
    wanted = [
        each
        for each in letters
        if order.selection.matches(each)
        or KeyOfGroup(each.text("group"), "orders", each.record.key or b"") in keys
    ]
    assert {each.letter.identity() for each in taken} == {each.identity() for each in wanted}
    # A letter may be in the queue twice; the second one is the same letter.
    assert [each.letter for each in taken] == first_ones(wanted)
    assert plan.taken + sum(plan.left.values()) == len(letters)
    sent = [(each.outgoing.topic, each.outgoing.partition) for each in taken if each.outgoing is not None]
    assert plan.places == Counter(sent)  # what a dry run says
    assert sum(plan.places.values()) == sum(plan.targets.values())


def first_ones(letters: list[Letter]) -> list[Letter]:
    found: dict[bytes, Letter] = {}
    for each in letters:
        found.setdefault(each.identity(), each)
    return list(found.values())


@given(letters=queues, order=orders)
def test_the_first_of_each_key_that_follows_lifts_its_block_and_no_other_record_does(
    letters: list[Letter], order: Order
) -> None:
    taken, _, keys = carried_out(letters, order, Ledger())
    word = REPLAY if order.state == "replayed" else CLEAR
    words: dict[KeyOfGroup | None, list[bytes | None]] = defaultdict(list)
    for each in taken:
        key = KeyOfGroup(each.letter.text("group"), "orders", each.letter.record.key or b"")
        said = None if each.outgoing is None else unblocking(each.outgoing.headers)
        words[key if key in keys and each.letter.record.key is not None else None].append(said)
    others = words.pop(None, [])
    assert set(others) <= {None}
    assert set(words) == keys
    for said_of_key in words.values():
        assert said_of_key == [word] + [None] * (len(said_of_key) - 1)


@given(letters=queues)
def test_a_letter_goes_back_as_it_came_to_its_partition_or_by_its_key_where_that_is_gone(
    letters: list[Letter],
) -> None:
    taken, plan, _ = carried_out(letters, Order(Selection()), Ledger())
    moved = 0
    for each in taken:
        sent, origin, record = each.outgoing, each.letter.origin, each.letter.record
        assert isinstance(sent, Outgoing)
        assert origin is not None
        assert (sent.topic, sent.key, sent.value) == ("orders", record.key, record.value)
        if origin.partition < 2:
            assert sent.partition == origin.partition
        else:
            moved += 1
            assert sent.partition == (
                origin.partition % 2 if record.key is None else partition_of(record.key, 2)
            )
        headers = dict(sent.headers)
        assert not OURS & set(headers)
        assert headers["core-replays"] == (b"3" if ("core-replays", b"2") in record.headers else b"1")
        assert ("tenant" in headers) == any(name == "tenant" for name, _ in record.headers)
    assert plan.moved == moved


def test_what_has_nowhere_to_go_is_left_and_counted() -> None:
    gone, strange = letter(0, topic="gone"), Letter(PlainRecord(1, b"k", b"v", topic="orders-dlq"))
    plan = Plan(Order(Selection()), Ledger(), (), {"orders": 2})
    assert [plan.decide(gone), plan.decide(strange)] == [None, None]
    assert plan.left == {Reason.TOPIC_GONE: 1, Reason.NO_ORIGIN: 1}
    assert plan.missing == {"gone": 1}
    # Elsewhere both can go, by key, and a drop takes both.
    elsewhere = Plan(Order(Selection(), to="orders"), Ledger(), (), {"orders": 2})
    taken = [elsewhere.decide(gone), elsewhere.decide(strange)]
    assert [each.outgoing.partition for each in taken if each and each.outgoing] == [
        partition_of(b"k", 2)
    ] * 2
    dropping = Plan(Order(Selection(), "dropped"), Ledger(), (), {})
    assert [each.outgoing for each in map(dropping.decide, [gone, strange]) if each] == [None, None]


def test_what_came_after_somebody_was_asked_is_not_taken_unless_its_key_is() -> None:
    letters = [letter(n, key=key) for n, key in enumerate([b"a", b"b", b"a", b"b"])]
    keys = {KeyOfGroup("g", "orders", b"a")}
    plan = Plan(Order(Selection()), Ledger(), keys, {"orders": 2}, lambda each: each.record.offset < 2)
    assert [each.letter.record.offset for each in map(plan.decide, letters) if each] == [0, 1, 2]
    assert plan.followers == 1
