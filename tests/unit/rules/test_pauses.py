"""What the control topic says, whatever is written into it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.records import TopicPartition
from core_messaging.rules.pauses import MOST, Pause, PauseTable, PauseTarget, encode_pause, encode_target

SOURCE = TopicPartition("orders", 3)
targets = st.builds(
    PauseTarget,
    group=st.sampled_from(["a", "b"]),
    topic=st.none() | st.sampled_from(["orders", "mails"]),
    partition=st.none() | st.sampled_from([3, 4]),
)


def paused(*words: tuple[PauseTarget, Pause | None]) -> PauseTable:
    table = PauseTable()
    for target, pause in words:
        value = None if pause is None else encode_pause(pause)
        assert table.apply(encode_target(target), value) == target
    return table


@given(targets)
def test_a_pause_holds_what_it_names_and_nothing_else(target: PauseTarget) -> None:
    table = paused((target, Pause(by="ann")))
    for group in ("a", "b"):
        for source in (SOURCE, TopicPartition("orders", 4), TopicPartition("mails", 3)):
            expected = (
                target.group == group
                and target.topic in (None, source.topic)
                and target.partition in (None, source.partition)
            )
            assert (table.covering(group, source, 0.0) is not None) == expected


def test_a_pause_ends_at_its_time_and_a_resume_ends_it_at_once() -> None:
    target = PauseTarget(group="a")
    table = paused((target, Pause(until=100.0)))
    assert table.covering("a", SOURCE, 99.9) is not None
    assert table.covering("a", SOURCE, 100.0) is None
    assert table.lasting(100.0) == {}
    again = paused((target, Pause()), (target, None))
    assert again.covering("a", SOURCE, 0.0) is None


def test_of_several_pauses_the_one_that_lasts_longest_is_told() -> None:
    whole, part = PauseTarget(group="a"), PauseTarget(group="a", topic="orders")
    table = paused((whole, Pause(until=50.0)), (part, Pause(until=90.0)))
    found = table.covering("a", SOURCE, 0.0)
    assert found is not None
    assert found[0] == part
    resumed = paused((whole, Pause(until=50.0)), (part, Pause()), (part, None))
    found = resumed.covering("a", SOURCE, 0.0)
    assert found is not None
    assert found[0] == whole


@given(st.lists(st.tuples(targets, st.none() | st.builds(Pause, until=st.none() | st.floats(0, 100)))))
def test_the_last_word_on_each_target_counts(words: list[tuple[PauseTarget, Pause | None]]) -> None:
    last = dict(words)
    assert paused(*words).lasting(50.0) == {
        target: pause
        for target, pause in last.items()
        if pause is not None and (pause.until is None or pause.until > 50.0)
    }


@given(st.none() | st.binary(max_size=200), st.none() | st.binary(max_size=200))
def test_garbage_pauses_nothing_and_stops_nobody(key: bytes | None, value: bytes | None) -> None:
    table = PauseTable()
    assert table.apply(key, value) is None
    assert table.apply(b"pause:" + (key or b""), value) is None
    assert table.apply(encode_target(PauseTarget(group="a")), b"[" * 100_000) is None
    assert len(table) == 0


def test_very_many_pauses_take_a_bounded_memory() -> None:
    table = PauseTable()
    for number in range(MOST + 5):
        table.apply(encode_target(PauseTarget(group="a", partition=number)), encode_pause(Pause()))
    assert len(table) == MOST
