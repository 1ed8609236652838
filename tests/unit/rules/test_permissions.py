"""Which ACLs a worker lacks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.diagnosis import Level, WorkerTopics
from core_messaging.rules.permissions import (
    Operation,
    group_permission_findings,
    operations_in,
    permission_findings,
)

WORKER = WorkerTopics("greet", ("in",), "out", ("dead",), None)
EVERYTHING = dict.fromkeys(("in", "out", "dead"), frozenset(Operation))


@given(st.sets(st.sampled_from(Operation)), st.integers(0, 2**20))
def test_each_operation_has_its_bit_and_unknown_ones_are_passed_over(
    wanted: set[Operation], others: int
) -> None:
    known = sum(1 << operation for operation in Operation)
    bits = sum(1 << operation for operation in wanted) | (others << 20)
    assert operations_in(bits & known) == wanted
    assert wanted <= operations_in(bits)


def test_a_worker_that_may_do_all_has_no_finding() -> None:
    assert [*permission_findings(WORKER, EVERYTHING)] == []
    assert [*permission_findings(WORKER, {})] == []  # the broker told nothing
    assert [*group_permission_findings("g", "greet", None)] == []
    assert [*group_permission_findings("g", "greet", frozenset(Operation))] == []


def test_each_operation_that_is_missing_is_a_problem_with_its_topic() -> None:
    described = dict.fromkeys(EVERYTHING, frozenset({Operation.DESCRIBE}))
    found = [*permission_findings(WORKER, described)]
    assert {each.level for each in found} == {Level.PROBLEM}
    assert [(each.check, each.remedy.split()[1]) for each in found] == [
        ("topic in", "Read"),
        ("topic out", "Write"),
        ("topic dead", "Write"),
    ]
    (of_group,) = group_permission_findings("g", "greet", frozenset())
    assert (of_group.check, of_group.level) == ("group g", Level.PROBLEM)
