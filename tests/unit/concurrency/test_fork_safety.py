"""A handler may fork: the child is a process of its own, and what ends it does not end the worker."""

from __future__ import annotations

import pytest

from tests.unit.programs import LOOPS, run_program

FORKS = {
    "multiprocessing": """
        def fork_and_end(number):
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,))
            child.start()
            os.kill(child.pid, number)
            child.join(60)
            return child.exitcode
    """,
    "os.fork": """
        def fork_and_end(number):
            child = os.fork()
            if child == 0:
                time.sleep(30)
                os._exit(77)
            os.kill(child, number)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    """,
}
MAIN = """
async def main():
    for number in range(3):
        broker.put("in", b"%d" % number)
    working = asyncio.create_task(run_workers([Forks], options()))
    await until(lambda: committed("forks") == 3)
    assert not working.done()
    os.kill(os.getpid(), signal.SIGTERM)
    await working
"""


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("definition", ["def", "async def"])
@pytest.mark.parametrize("kind", FORKS)
def test_a_child_of_a_handler_ends_by_its_signal_and_the_worker_goes_on(
    kind: str, definition: str, loop: str
) -> None:
    # Signal handlers and the wake-up descriptor of the loop were inherited: the child did not end, and the worker did.
    worker = f"""
class Forks(Worker):
    input_topic = "in"

    {definition} process(self, message: int):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
            print("ended by", fork_and_end(number), flush=True)
"""
    done = run_program(_dedented(FORKS[kind]) + worker + MAIN, loop)
    assert done.returncode == 0, done.stdout
    codes = [line for line in done.stdout.splitlines() if "ended by" in line]
    assert codes == ["ended by -15", "ended by -1", "ended by -9"] * 3
    assert done.stdout.count("stopping") == 1


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("definition", ["def", "async def"])
def test_a_child_that_comes_back_out_of_its_handler_does_nothing_more_of_the_workers(
    definition: str, loop: str
) -> None:
    # It went on as a second worker, over the connections of the first.
    worker = f"""
class Forks(Worker):
    input_topic = "in"

    {definition} process(self, message: int):
        print("handles", message, flush=True)
        child = os.fork()
        if child == 0:
            if message == 0:
                return
            if message == 1:
                sys.exit(5)
            raise ValueError("in a child")
        print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
    done = run_program(worker + MAIN, loop)
    assert done.returncode == 0, done.stdout
    lines = [line for line in done.stdout.splitlines() if line.startswith(("handles", "child", "over"))]
    assert lines == ["handles 0", "child 0", "handles 1", "child 5", "handles 2", "child 1", "over"]


def test_a_child_that_forks_while_no_worker_runs_keeps_its_own_signal_handlers() -> None:
    done = run_program("""
        async def main():
            signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
            child = os.fork()
            if child == 0:
                os.kill(os.getpid(), signal.SIGTERM)
                os._exit(4)
            print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    assert done.stdout.splitlines() == ["child 3", "over"]


def _dedented(text: str) -> str:
    return "\n".join(line.removeprefix(" " * 8) for line in text.splitlines())
