"""The commands that a person would type, started as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "example_plugins" / "email-worker"
CORE = Path(sys.executable).with_name("core")  # of the environment that the demo runs in
DRAINED_WITHIN = 30.0  # seconds; the worker's own limit is 25


class DemoFailed(Exception):
    """Something that the demo needs did not work. The text is for people."""


def install() -> None:
    """``pip install example_plugins/email-worker`` into the environment that the demo runs in."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # The build back end is installed already. A second environment for it would take time.
    done = subprocess.run([*pip, "--no-build-isolation", str(PACKAGE)], check=False)
    if done.returncode:
        raise DemoFailed(f"pip could not install {PACKAGE.name}; what it says is above")


def dead_letters(folder: Path, environment: Mapping[str, str], *words: str) -> str:
    """Run ``core kafka dlq ...`` and return its output. Raises DemoFailed unless it exits with 0."""
    done = subprocess.run(
        [str(CORE), "kafka", "dlq", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **environment},
        check=False,
    )
    if done.returncode:
        raise DemoFailed(f"`core kafka dlq {' '.join(words)}` failed: {done.stderr.strip()}")
    return done.stdout.strip()


class RunningWorker:
    """``core kafka worker --all``, with its output in *log*."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process, self._log = process, log

    def check(self) -> None:
        """Raises DemoFailed if the worker has ended without being asked to."""
        if self._process.poll() is not None:
            raise self._failure("ended by itself")

    def stop(self) -> None:
        """Send SIGTERM, as an init system does. Raises DemoFailed unless the worker drains and exits with 0."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(DRAINED_WITHIN)
        except subprocess.TimeoutExpired:
            raise self._failure(f"still ran {DRAINED_WITHIN:g} s after SIGTERM") from None
        if code:
            raise self._failure("did not stop in order")

    def _failure(self, what: str) -> DemoFailed:
        last = "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
        code = self._process.returncode
        return DemoFailed(f"`core kafka worker --all` {what} (exit code {code}); it last said:\n{last}")


@contextmanager
def worker(folder: Path, environment: Mapping[str, str]) -> Iterator[RunningWorker]:
    """Run the worker while the block lasts, and kill it then if it still runs. *folder* must hold no project."""
    path = folder / "worker.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [str(CORE), "kafka", "worker", "--all"],
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, **environment},
        )
        try:
            yield RunningWorker(process, path)
        finally:
            process.kill()
            process.wait()
