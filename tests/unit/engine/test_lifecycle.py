"""The states of a run go one way, and each run ends."""

from __future__ import annotations

from core_messaging.engine.lifecycle import NEXT, RunState


def reachable(state: RunState) -> set[RunState]:
    found: set[RunState] = set()
    ahead = [state]
    while ahead:
        for following in NEXT[ahead.pop()] - found:
            found.add(following)
            ahead.append(following)
    return found


def test_no_state_comes_again_and_every_one_leads_to_the_end() -> None:
    assert set(NEXT) == set(RunState)
    for state in RunState:
        assert state not in reachable(state)
        assert state is RunState.STOPPED or RunState.STOPPED in reachable(state)


def test_a_run_that_never_began_drains_nothing() -> None:
    assert RunState.DRAINING not in NEXT[RunState.NEW]
