"""Dead letters read back: what a worker wrote is there again, and whatever else somebody wrote breaks nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.dead_letter import FACTS, PREFIX
from core_messaging.rules.letter_groups import Example, LetterGroups
from core_messaging.rules.letter_ledger import Ledger, marker
from core_messaging.rules.letter_selection import FieldMatch, Selection
from core_messaging.rules.letters import Letter, Origin
from core_messaging.rules.replay_plan import Order, Plan, Survey, turn_of
from tests.unit.rules.letters import letter
from tests.unit.rules.records import PlainRecord

hostile_headers = st.lists(
    st.tuples(
        st.sampled_from([PREFIX + fact for fact in FACTS] + ["core-replays", "core-unblock", "x"]),
        st.one_of(
            st.binary(max_size=30), st.sampled_from([b"1", b"-1", b"nan", b"1e400", b"9" * 30, b"orders"])
        ),
    ),
    max_size=14,
)


@given(
    topic=st.sampled_from(["orders", "a.b-c_d"]),
    partition=st.integers(0, 99),
    offset=st.integers(0, 2**63 - 1),
)
def test_a_letter_says_where_its_message_was(topic: str, partition: int, offset: int) -> None:
    found = letter(5, topic=topic, partition=partition, original=offset, failed_at=12.5)
    assert found.origin == Origin(topic, partition, offset)
    assert (found.failed_at, found.error_type, found.text("worker")) == (12.5, "ValueError", "W")


@given(
    headers=hostile_headers, key=st.none() | st.binary(max_size=9), value=st.none() | st.binary(max_size=30)
)
def test_whatever_somebody_wrote_into_a_queue_is_counted_selected_and_planned_without_an_error(
    headers: list[tuple[str, bytes]], key: bytes | None, value: bytes | None
) -> None:
    strange = Letter(PlainRecord(7, key, value, topic="orders-dlq", headers=tuple(headers)))
    groups = LetterGroups("orders-dlq", lambda _letter: Example(0, 0, None, "", None))
    groups.add(strange, "open")
    assert [group.count for group in groups.sorted()] == [1]
    selection = Selection(since=0.0, fields=(FieldMatch("a.b", "1"),))
    Selection(error_type="ValueError", until=5.0).matches(strange)
    selection.matches(strange)
    survey = Survey(Selection(), Ledger(), frozenset({"g"}))
    survey.add(strange)
    plan = Plan(Order(Selection()), Ledger(), survey.keys, {"orders": 4})
    taken = plan.decide(strange)
    assert (taken is None) == (strange.origin is None or strange.origin.topic != "orders")
    assert turn_of(strange) <= (float("inf"), 2**63)
    assert marker(strange, "orders-dlq", "dropped", 0.0).key == strange.identity()


@given(
    st.lists(
        st.builds(
            letter,
            st.integers(0, 3),
            topic=st.sampled_from(["a", "b"]),
            original=st.integers(0, 3),
            partition=st.integers(0, 2),
            group=st.sampled_from(["g", "h"]),
            failed_at=st.sampled_from([1.0, 2.0]),
        ),
        max_size=20,
    )
)
def test_letters_are_the_same_if_and_only_if_their_message_their_failure_and_their_group_are(
    letters: list[Letter],
) -> None:
    facts = [(each.origin, each.failed_at, each.text("group")) for each in letters]
    assert len({each.identity() for each in letters}) == len(set(facts))


def test_a_queue_that_is_made_anew_does_not_bring_old_markers_to_its_letters() -> None:
    old, new = letter(3, original=10), letter(3, original=11)
    ledger = Ledger()
    ledger.note(old, "replayed")
    assert (ledger.state_of(old), ledger.state_of(new)) == ("replayed", "open")


def test_a_record_that_is_not_ours_is_told_apart_by_its_place_its_time_and_its_bytes() -> None:
    one = Letter(PlainRecord(3, b"k", b"v", topic="d"))
    others = [
        Letter(PlainRecord(4, b"k", b"v", topic="d")),
        Letter(PlainRecord(3, b"k", b"w", topic="d")),
        Letter(PlainRecord(3, b"k", b"v", topic="d", timestamp=1)),
    ]
    assert len({each.identity() for each in [one, *others]}) == 4
    assert not one.is_ours
    assert one.error_type == "(no core headers)"
