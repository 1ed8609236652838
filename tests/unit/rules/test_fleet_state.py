"""Which processes are alive, from whatever stands in the state topic."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import example, given
from hypothesis import strategies as st

from core_messaging.rules.commands import ANSWER, Answer, encode_answer
from core_messaging.rules.fleet_state import (
    LARGEST,
    MOST,
    FleetTable,
    ProcessState,
    WorkerState,
    encode_state,
    facts_of,
    processes_named,
    with_group,
)


def process(name: str = "one", at: float = 100.0, group: str = "g", control: int = 0) -> ProcessState:
    worker = WorkerState(name="W", group=group, condition="running", partitions=["orders[0]"], lag=3)
    return ProcessState(
        id=name,
        host="h",
        pid=1,
        version="1",
        at=at,
        started=1.0,
        interval=10.0,
        workers=[worker],
        control={"0": control},
    )


def record(state: ProcessState) -> tuple[bytes, bytes]:
    return state.id.encode(), encode_state(state)


def fleet_of(
    records: Iterable[tuple[bytes | None, bytes | None]], now: float
) -> tuple[list[ProcessState], int]:
    table = FleetTable()
    for key, value in records:
        table.apply(key, value)
    return table.alive(now)


def test_the_last_record_of_each_process_counts_until_it_says_goodbye_or_is_silent() -> None:
    old, new, other = process(at=90.0), process(at=100.0), process("two", at=50.0)
    assert fleet_of([record(old), record(new), record(other)], 110.0) == ([new], 0)  # two: silent for 60 s
    assert fleet_of([record(new), (b"one", None)], 110.0) == ([], 0)


def test_a_silent_process_is_named_for_as_long_as_nobody_else_has_its_partitions() -> None:
    dead = process(at=50.0)
    table = FleetTable()
    table.apply(*record(dead))
    assert table.silent(60.0) == []  # it may live
    ((found, waiting),) = table.silent(110.0)
    assert (found.id, waiting) == ("one", {"W": ["orders[0]"]})
    table.apply(*record(process("elsewhere", at=100.0, group="another")))
    assert [each.state.id for each in table.silent(110.0)] == ["one"]
    table.apply(*record(process("two", at=100.0)))
    assert table.silent(110.0) == []


def test_a_process_that_said_that_it_ends_is_not_silent() -> None:
    table = FleetTable()
    table.apply(*record(process(at=50.0)))
    table.apply(b"one", None)
    assert table.silent(110.0) == []


@example(ANSWER, b"")
@given(st.none() | st.binary(max_size=50), st.none() | st.binary(max_size=100))
def test_garbage_is_counted_and_hurts_nobody(key: bytes | None, value: bytes | None) -> None:
    found, unreadable = fleet_of([record(process()), (key, value)], 100.0)
    assert [state.id for state in found] == ["one"]
    counts = key is None or (value is not None and not key.startswith(ANSWER))
    assert unreadable == counts


def test_a_record_that_is_too_large_or_newer_is_handled() -> None:
    huge = b" " * (LARGEST + 1) + encode_state(process())
    assert fleet_of([(b"one", huge)], 100.0) == ([], 1)
    newer = encode_state(process()).replace(b'"pid":1', b'"pid":1,"what_comes_later":[1]')
    assert [state.id for state in fleet_of([(b"one", newer)], 100.0)[0]] == ["one"]


def test_a_process_obeys_what_it_has_read() -> None:
    assert process(control=5).obeys(0, 4)
    assert not process(control=5).obeys(0, 5)
    assert not process(control=5).obeys(1, 0)


def test_processes_are_found_by_the_groups_that_they_run() -> None:
    one, two = process("one", group="a"), process("two", group="b")
    assert with_group([one, two], "b") == [two]
    assert facts_of(one)["workers"][0]["group"] == "a"


def test_a_process_is_named_by_its_address_its_pid_or_the_beginning_of_its_id() -> None:
    one, two = process("1f-one"), process("2f-two")
    assert processes_named([one, two], "1f") == [one]
    assert processes_named([one, two], "2f-two") == [two]
    assert processes_named([one, two], "h:1") == [one, two]
    assert processes_named([one, two], "1") == [one, two]  # the pid of both
    assert processes_named([one, two], "") == processes_named([one, two], "3") == []


def test_an_answer_to_a_command_is_no_process() -> None:
    answer = Answer(id="a", process="one", done=True, text="")
    assert fleet_of([record(process()), encode_answer(answer)], 100.0) == ([process()], 0)


def test_the_memory_of_a_fleet_does_not_grow_with_its_records() -> None:
    table = FleetTable()
    for number in range(MOST + 5):
        table.apply(b"%d" % number, b"{}")
    assert table.alive(0.0) == ([], MOST)
