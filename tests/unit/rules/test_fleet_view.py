"""States of processes in, rows of the live view out."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.fleet_state import ProcessState, WorkerState
from core_messaging.rules.fleet_view import (
    ASCII_SPARKS,
    HISTORY,
    SPARKS,
    WORST,
    FleetHistory,
    Rates,
    Row,
    badness,
    sparkline,
)
from core_messaging.snapshot import COUNTERS, Condition


def worker(name: str = "W", lag: int | None = 10, done: int = 0, **others: object) -> WorkerState:
    state = WorkerState(
        name=name,
        group="g",
        condition="running",
        partitions=["orders[0]"],
        lag=lag,
        useful_lag=lag,
        counters={"succeeded": done, "failed": done},
    )
    return msgspec.structs.replace(state, **others)


def process(*workers: WorkerState, name: str = "one", at: float = 100.0) -> ProcessState:
    return ProcessState(
        id=name, host="h", pid=1, version="1", at=at, started=0.0, interval=10.0, workers=list(workers)
    )


def only(rows: list[Row]) -> Row:
    (row,) = rows
    return row


def test_the_processes_of_a_worker_are_one_row_that_has_the_worst_of_their_conditions() -> None:
    one = process(worker(lag=3, running=2, slowest="orders[0]@1", slowest_seconds=2.0))
    stuck = worker(condition="stuck", reason="it hangs", slowest="orders[1]@9", slowest_seconds=5.0)
    row = only(FleetHistory().add([one, process(stuck, name="two")]))
    assert (row.condition, row.reasons, row.lag, row.running) == ("stuck", ("it hangs",), 13, 2)
    assert (row.slowest, row.slowest_seconds, row.partitions) == ("orders[1]@9", 5.0, 2)
    assert row.processes == ("h:1", "h:1")


def test_a_lag_that_one_process_does_not_know_is_not_known() -> None:
    row = only(FleetHistory().add([process(worker(lag=3)), process(worker(lag=None), name="two")]))
    assert (row.lag, row.useful_lag) == (None, None)


def test_rates_come_from_two_states_of_each_process() -> None:
    history = FleetHistory()
    assert only(history.add([process(worker(done=100, lag=10))])).rates == Rates()
    row = only(history.add([process(worker(done=150, lag=30), at=110.0)]))
    assert row.rates == Rates(coming=7.0, finished=5.0, failed=5.0)
    again = only(history.add([process(worker(done=150, lag=30), at=110.0)]))  # it has said nothing new
    assert again.rates == row.rates
    restarted = only(history.add([process(worker(done=0), name="two", at=120.0)]))
    assert restarted.rates == Rates()


def test_a_rebalance_does_not_count_as_messages_that_came() -> None:
    history = FleetHistory()
    history.add([process(worker(lag=0))])
    moved = worker(lag=1_000, partitions=["orders[0]", "orders[1]"])
    assert only(history.add([process(moved, at=110.0)])).rates.coming is None


@given(st.lists(st.none() | st.integers(0, 10**6), min_size=1, max_size=HISTORY + 20))
def test_the_trend_has_the_last_lags(lags: list[int | None]) -> None:
    history = FleetHistory()
    for at, lag in enumerate(lags):
        row = only(history.add([process(worker(lag=lag), at=float(at))]))
    assert row.trend == tuple(lags[-HISTORY:])


def test_a_worker_that_is_gone_is_forgotten() -> None:
    history = FleetHistory()
    history.add([process(worker("A"), worker("B"))])
    assert [row.name for row in history.add([process(worker("B"))])] == ["B"]
    assert only(history.add([process(worker("A"))])).trend == (10,)


def test_every_condition_has_its_place_and_one_of_a_newer_version_is_shown_first() -> None:
    assert set(WORST) == {each.value for each in Condition}
    assert badness("what comes later") < badness("stuck") < badness("running")


def test_the_counters_that_the_rates_come_from_are_there() -> None:
    assert {"succeeded", "exhausted", "undecodable", "followed", "cleared", "failed", "dead_lettered"} <= set(
        COUNTERS
    )


@given(st.lists(st.none() | st.integers(0, 10**9), max_size=80), st.integers(0, 70))
def test_a_sparkline_has_its_width_and_its_largest_number_is_the_highest(
    numbers: list[int | None], width: int
) -> None:
    for sparks in (SPARKS, ASCII_SPARKS):
        drawn = sparkline(numbers, width, sparks)
        assert len(drawn) == width
        assert set(drawn) <= {*sparks, " "}
        shown = [number for number in numbers[-width:] if number] if width else []
        assert (sparks[-1] in drawn) == bool(shown)
