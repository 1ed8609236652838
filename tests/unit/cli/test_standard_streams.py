"""Output that is closed, full or read by nobody any more: no traceback, and an exit code that says what happened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CORE = f"{sys.executable} -m core_messaging"
FULL = "core: standard output cannot be written: No space left on device\n"
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is of Linux")


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run *line* in bash; a pipe ends with the code of ``core``."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@needs_full
@pytest.mark.parametrize("words", ["--help", "--version", "kafka workers", "kafka workers --json", "plugins"])
@pytest.mark.parametrize(
    ("redirection", "code", "says"),
    [(">&-", 0, ""), (">/dev/full", 1, FULL), ("| true", 141, ""), (">/dev/full 2>/dev/full", 1, "")],
)
def test_a_listing_that_nobody_gets_ends_without_a_traceback(
    tmp_path: Path, words: str, redirection: str, code: int, says: str
) -> None:
    done = shell(f"{CORE} {words} {redirection}", tmp_path)
    assert done.returncode == code or (
        redirection == "| true" and done.returncode == 0
    )  # it may have been the faster one
    assert done.stderr == says


@needs_full
@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2>&1 >/dev/null | true", ">&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [("kafka worker X", 1), ("xyz", 2), ("kafka workers", 0)])
def test_an_error_that_nobody_reads_keeps_its_exit_code(
    tmp_path: Path, words: str, code: int, redirection: str
) -> None:
    done = shell(f"{CORE} {words} {redirection}", tmp_path)
    assert done.returncode == code
    assert done.stderr == ""


def test_the_first_lines_of_a_long_output_are_enough(tmp_path: Path) -> None:
    done = shell(f"{CORE} kafka worker --help | head -1", tmp_path)
    assert done.stdout == "Usage: python -m core_messaging kafka worker [OPTIONS] [NAME]...\n"
    assert done.stderr == ""


def test_a_handler_that_prints_where_nobody_reads_does_not_fail_its_message(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from core_messaging_cli import standard_streams\n"
        "reading, writing = os.pipe()\n"
        "os.dup2(writing, 1)\n"
        "os.close(reading)\n"
        "standard_streams.prepare()\n"
        "standard_streams.forgive_output()\n"
        "print('x' * 100_000, flush=True)\n"
        "sys.stderr.write('went on')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "went on")


def test_what_a_handler_prints_into_a_file_is_there_at_once(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from core_messaging_cli import standard_streams as streams\n"
        "streams.prepare(); streams.forgive_output(); print('sent')\n"
        "assert Path('log').read_text() == 'sent\\n'"
    )
    with (tmp_path / "log").open("wb") as log:
        ended = subprocess.run(
            [sys.executable, "-c", program], check=False, cwd=tmp_path, stdout=log, timeout=120
        )
    assert ended.returncode == 0
