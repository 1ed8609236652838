"""What the dashboard shows of workers."""

from __future__ import annotations

from core_messaging_dashboard.rows import charts, states_of, worker_rows
from core_messaging_dashboard.watch import Sample

from core_messaging.operations.fleet import Fleet
from core_messaging.operations.lag import WorkerLag
from core_messaging.rules.fleet_state import ProcessState, WorkerState
from core_messaging.worker import Worker, config_of


class Orders(Worker):
    input_topic = "orders"
    group_id = "g"

    async def process(self, message: dict[str, int]) -> None: ...


class Mails(Worker):
    input_topic = "mails"
    group_id = "m"

    async def process(self, message: dict[str, int]) -> None: ...


LAGS = [WorkerLag(config_of(Mails), None, ("mails",)), WorkerLag(config_of(Orders), None, ("orders",))]


def process_with(pid: int, *workers: WorkerState) -> ProcessState:
    return ProcessState(
        id=str(pid), host="h", pid=pid, version="1", at=0.0, started=0.0, interval=10.0, workers=list(workers)
    )


FLEET = Fleet(
    processes=(
        process_with(1, WorkerState(name="Orders", group="g", condition="running", waiting_retries=2)),
        process_with(
            2,
            WorkerState(name="Orders", group="g", condition="stuck", reason="hangs", waiting_retries=3),
            WorkerState(name="Mails", group="other", condition="running"),
        ),
    ),
    silent=(),
    pauses={},
    unreadable=0,
)


def test_the_most_worrying_worker_comes_first_with_its_reason() -> None:
    first, second = worker_rows(LAGS, FLEET)
    assert (first.name, first.condition, first.conditions) == ("Orders", "stuck", "1 running, 1 stuck")
    assert (first.reason, first.processes, first.waiting_retries) == ("hangs", 2, 5)
    assert (second.name, second.condition, second.waiting_retries) == ("Mails", "", None)


def test_a_worker_of_that_name_in_another_group_is_another_one() -> None:
    assert states_of(FLEET, "m", "Mails") == []
    assert [process.pid for process, _ in states_of(FLEET, "g", "Orders")] == [1, 2]
    assert states_of(None, "g", "Orders") == []


def test_a_chart_has_the_last_value_that_is_known() -> None:
    drawn = charts([Sample(5, None, None, 1.0), Sample(10, 2.0, 1.0, None)])
    assert (drawn["lag"].latest, drawn["lag"].most) == (10, 10)
    assert (drawn["in"].latest, drawn["in"].points) == (2.0, "")
    assert drawn["behind"].latest == 1.0
