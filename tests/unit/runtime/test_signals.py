"""Who hears of a signal: every run of this program, and the program itself."""

from __future__ import annotations

import signal

import pytest

from core_messaging.runtime.signals import Received
from tests.unit.programs import LOOPS, run_program

WORKERS = """
class A(Worker):
    input_topic = group_id = "in"

    async def process(self, message: int):
        begun.append(type(self).__name__)
        await asyncio.sleep(0.2)

class B(A):
    group_id = "b"

async def begin(*runs):
    broker.put("in", b"1")
    tasks = [asyncio.ensure_future(run) for run in runs]
    await until(lambda: len(broker.records("in")) and has_begun())
    return tasks

def has_begun():
    return set(expected) <= set(begun)

expected, begun, logged = [], [], []
handler = logging.Handler()
handler.emit = lambda record: logged.append(record.getMessage())
logging.getLogger().addHandler(handler)
"""


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_one_signal_ends_every_run_of_the_program(number: str, loop: str) -> None:
    # Each run took the loop's one place for a handler from the run before.
    done = run_program(
        WORKERS
        + f"""
async def main():
    expected.extend(["A", "B"])
    runs = await begin(run_workers([A], options()), run_workers([B], options()))
    os.kill(os.getpid(), signal.{number})
    async with asyncio.timeout(60):
        await asyncio.gather(*runs)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    print("committed", committed("in"), committed("b"))
""",
        loop,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-2:] == ["committed 1 1", "over"]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    "listens",
    [
        "asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, heard.append, 1)",
        "signal.signal(signal.SIGTERM, lambda *_: heard.append(1))",
    ],
)
def test_a_handler_of_the_programs_own_is_called_too_and_is_back_afterwards(listens: str, loop: str) -> None:
    done = run_program(
        WORKERS
        + f"""
async def main():
    heard = []
    {listens}
    expected.append("A")
    (run,) = await begin(run_workers([A], options()))
    os.kill(os.getpid(), signal.SIGTERM)
    await run
    await until(lambda: len(heard) == 1)
    os.kill(os.getpid(), signal.SIGTERM)
    await until(lambda: len(heard) == 2)
    print("committed", committed("in"))
""",
        loop,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-2:] == ["committed 1", "over"]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_program_that_exits_at_a_signal_does_so_when_its_workers_have_committed(loop: str) -> None:
    done = run_program(
        WORKERS
        + """
async def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    expected.append("A")
    (run,) = await begin(run_workers([A], options()))
    os.kill(os.getpid(), signal.SIGTERM)
    try:
        await run
    finally:
        print("committed", committed("in"), flush=True)
""",
        loop,
    )
    assert done.returncode == 7, done.stdout
    assert "committed 1" in done.stdout


def test_who_leaves_signals_to_the_program_is_not_stopped_by_one() -> None:
    done = run_program(
        WORKERS
        + """
async def main():
    heard = []
    signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
    expected.append("A")
    (run,) = await begin(run_workers([A], options(handle_signals=False)))
    os.kill(os.getpid(), signal.SIGTERM)
    await until(lambda: heard)
    assert not any("stopping" in line for line in logged)
    run.cancel()
    await asyncio.wait([run])
    print("committed", committed("in"))
"""
    )
    assert done.stdout.splitlines()[-2:] == ["committed 1", "over"], done.stdout


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    # As ``nohup`` has it.
    done = run_program(
        WORKERS
        + """
async def main():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    expected.append("A")
    (run,) = await begin(run_workers([A], options()))
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: committed("in") == 1)
    assert not any("stopping" in line for line in logged)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    os.kill(os.getpid(), signal.SIGTERM)
    await run
"""
    )
    assert done.stdout.splitlines()[-1] == "over", done.stdout


def test_a_hangup_is_never_a_second_signal() -> None:
    # The kernel and the shell both send one, and a service manager may send one after its SIGTERM.
    told = list[str]()
    received = Received(lambda n: told.append(f"first {n.name}"), lambda n: told.append(f"second {n.name}"))
    for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
        received.caught(number)
    assert told == ["first SIGHUP"]
    received.caught(signal.SIGTERM)
    assert told == ["first SIGHUP", "second SIGTERM"]
