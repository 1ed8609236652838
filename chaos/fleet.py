"""The worker processes: started, stopped, killed and paused."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CORE = str(Path(sys.executable).with_name("core"))
CONCURRENCY = 8  # of the ledger's worker
COMMIT_INTERVAL = 0.5  # seconds
SESSION = 6.0  # seconds without a heartbeat after which a member is out of its group
STOP = 40.0  # seconds for a process to drain
PATIENCE = 150.0  # seconds
BEGIN = 60.0  # seconds for a process to get its partitions, on a busy machine


class Member:
    """One ``core kafka worker`` process. Its output goes to *log*."""

    def __init__(self, folder: Path, address: str, log: Path) -> None:
        self.log = log
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "CORE_"))},
            "KAFKA_BOOTSTRAP_SERVERS": address,
            "KAFKA_SESSION_TIMEOUT": str(SESSION),
            "KAFKA_HEARTBEAT_INTERVAL": "0.5",
            "COMMIT_INTERVAL": str(COMMIT_INTERVAL),
            "MAX_CRASHES": "99",  # no message is to be dead-lettered for our kills
        }
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [CORE, "kafka", "worker", "Ledger"], cwd=folder, env=environment, stdout=output, stderr=output
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def megabytes(self) -> float:
        """The resident memory of the process."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * 4096 / 1e6

    def has_partitions(self) -> bool:
        """Whether the worker has begun. Before that, a signal ends a Python that still imports."""
        return "Ledger has " in self.log.read_text()

    def is_joining(self) -> bool:
        """Whether the worker has found the broker and asks its group to let it in."""
        return "joining group" in self.log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def stop(self) -> None:
        """Send SIGTERM once it has begun. Raises RuntimeError if it does not drain."""
        await self._begun()
        self.send(signal.SIGTERM)
        code = await asyncio.to_thread(self.process.wait, STOP)
        if code != 0:
            raise RuntimeError(f"a worker ended with exit code {code}: {self.log.read_text()[-2000:]}")

    async def _begun(self) -> None:
        """Wait until it has partitions or has ended; for BEGIN seconds at most."""
        ends = time.monotonic() + BEGIN
        while not self.has_partitions() and self.process.poll() is None and time.monotonic() < ends:
            await asyncio.sleep(0.1)


class Fleet:
    """The members of one group."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        self._address = address
        self._count = 0
        self.members: list[Member] = []

    def join(self) -> Member:
        self._count += 1
        member = Member(self._folder, self._address, self._folder / f"worker-{self._count}.log")
        self.members.append(member)
        return member

    async def leave(self, member: Member) -> None:
        self.members.remove(member)
        await member.stop()

    def kill(self, member: Member) -> float:
        """Kill a member by SIGKILL and start another one. Returns the time."""
        self.members.remove(member)
        member.kill()
        self.join()
        return time.time()

    def check(self) -> None:
        """Raises RuntimeError if a member ended by itself."""
        for member in self.members:
            if member.process.poll() is not None:
                raise RuntimeError(
                    f"a worker ended by itself ({member.process.returncode}): {member.log.read_text()[-2000:]}"
                )

    async def stop(self) -> None:
        await asyncio.gather(*(self.leave(member) for member in list(self.members)))

    def end(self) -> None:
        """Kill all processes that still run."""
        for member in self.members:
            if member.process.poll() is None:
                member.kill()


async def until(condition: Callable[[], object], fleet: Fleet) -> None:
    """Wait for the end. Raises TimeoutError, and RuntimeError if a member ended by itself."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            fleet.check()
            await asyncio.sleep(0.1)
