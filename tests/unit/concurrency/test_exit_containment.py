"""``sys.exit()`` somewhere below a handler is a failed attempt; it ends no process."""

from __future__ import annotations

import subprocess

import pytest

from tests.unit.programs import LOOPS, run_program

BELOW = {
    "gather": "await asyncio.gather(library())",
    "wait_for": "await asyncio.wait_for(library(), 5)",
    "TaskGroup": """
        async with asyncio.TaskGroup() as group:
            group.create_task(library())
    """,
    "shield": "await asyncio.shield(library())",
    "create_task": "await asyncio.create_task(library())",
    "to_thread": "await asyncio.to_thread(library_of_threads)",
    "after a wait": """
        task = asyncio.create_task(library())
        await asyncio.sleep(0.01)
        await task
    """,
}
EXITS = ("SystemExit(0)", "KeyboardInterrupt()", "GeneratorExit()", "asyncio.CancelledError()")
NEITHER = (("TaskGroup", "asyncio.CancelledError()"), ("to_thread", "GeneratorExit()"))
WORKER = """
async def {name}():
    async def library():
        await asyncio.sleep(0)
        raise {exit}

    def library_of_threads():
        raise {exit}

    class Exits(Worker):
        input_topic = "in"
        max_retries = 1
        initial_delay = 0.01
        dlq_topic = "out"

        async def process(self, message: int):
            if message == 1:
                return
{body}

    factory = asyncio.get_running_loop().get_task_factory()
    broker.put("in", b"0")
    broker.put("in", b"1")
    working = asyncio.create_task(run_workers([Exits], options()))
    await until(lambda: committed("exits") == 2)
    print("{name}: dead letters", len(broker.records("out")))
    working.cancel()
    await asyncio.wait([working])
    assert asyncio.get_running_loop().get_task_factory() is factory
    print("{name}: over", flush=True)
"""
RUNS = """
for case in ({names}):
    broker = MemoryBroker({{"in": 1, "out": 1}})
    with asyncio.Runner(loop_factory={loop}) as runner:
        runner.run(case())

async def main(): ...
"""
# A group takes no notice of a task that cancels itself; and what Python does with a GeneratorExit out of a thread is to
# close whatever waits for it, which is no handler's any more.
CASES = [(below, exits) for below in BELOW for exits in EXITS if (below, exits) not in NEITHER]


@pytest.fixture(scope="module", params=[LOOPS[0], LOOPS[2]])
def done(request: pytest.FixtureRequest) -> subprocess.CompletedProcess[str]:
    """A program that goes through all cases, one after the other."""
    workers = [
        WORKER.format(name=f"case_{number}", exit=exits, body=_indented(BELOW[below]))
        for number, (below, exits) in enumerate(CASES)
    ]
    names = ", ".join(f"case_{number}" for number in range(len(CASES)))
    return run_program("".join(workers) + RUNS.format(names=names, loop=request.param), request.param)


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{below}-{exits}" for below, exits in CASES])
def test_an_exit_in_a_task_below_a_handler_is_a_failed_attempt(
    number: int, done: subprocess.CompletedProcess[str]
) -> None:
    lines = done.stdout.splitlines()
    assert f"case_{number}: dead letters 1" in lines, done.stdout
    assert f"case_{number}: over" in lines, done.stdout
    assert (done.returncode, lines[-1]) == (0, "over"), done.stdout
    assert "never awaited" not in done.stdout


def test_tasks_that_are_cancelled_before_they_begin_leave_nothing_behind() -> None:
    done = run_program("""
        class Cancels(Worker):
            input_topic = "in"

            async def process(self, message: int):
                task = asyncio.create_task(asyncio.sleep(1), name="mine")
                task.cancel()
                await asyncio.wait([task])
                async def named(): await asyncio.sleep(0)
                print(asyncio.create_task(named()).get_coro().__qualname__)

        async def main():
            broker.put("in", b"0")
            working = asyncio.create_task(run_workers([Cancels], options()))
            await until(lambda: committed("cancels") == 1)
            working.cancel()
            await asyncio.wait([working])
    """)
    assert "named" in done.stdout
    assert "never awaited" not in done.stdout


@pytest.mark.parametrize("loop", LOOPS)
def test_an_exit_in_a_callback_of_the_loop_does_not_end_the_command(loop: str) -> None:
    done = run_program(
        f"""
        async def work():
            asyncio.get_running_loop().call_later(0.01, sys.exit, 0)
            await asyncio.sleep(0.1)
            print("went on")

        from core_messaging.concurrency.exit_containment import run_to_its_end
        run_to_its_end(work(), {loop})

        async def main(): ...
        """,
        loop,
    )
    assert done.returncode == 0, done.stdout
    assert "a callback of the event loop raised SystemExit" in done.stdout
    assert done.stdout.splitlines()[-2:] == ["went on", "over"]


def _indented(body: str) -> str:
    lines = [line for line in body.splitlines() if line.strip()]
    return "\n".join(" " * 12 + line.removeprefix(" " * 8) for line in lines)
