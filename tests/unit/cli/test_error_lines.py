"""Errors of the command line: one prefix, the cause before what follows from it, and no success that did nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEALTHY = "from core_messaging import worker\n\n@worker(topic='t')\ndef healthy(message: dict) -> None: ...\n"
WORDS = [
    ["kafka", "worker", "broken"],  # what the user can mend
    ["kafka", "worker"],  # wrong usage
    ["kafka", "worker", "--concurrency", "many", "healthy"],  # found by click
    ["kafka", "offsets", "--al"],
    ["kafka", "publish", "t", "--file", "there_is_none"],
    ["xyzzy"],
    ["kafka", "worker", "--all"],
]


def core(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "core_messaging", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "src/workers").mkdir(parents=True)
    (tmp_path / "src/workers/healthy.py").write_text(HEALTHY)
    (tmp_path / "src/workers/broken.py").write_text("\nimport there_is_none\n")
    return tmp_path


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_the_last_line_of_every_error_has_one_prefix(words: list[str], folder: Path) -> None:
    ended = core(words, folder)
    assert ended.returncode in (1, 2)
    assert ended.stderr.splitlines()[-1].startswith("core: ")
    assert "Error: " not in ended.stderr.replace("ModuleNotFoundError: ", "")


@pytest.mark.parametrize("words", WORDS[1:4], ids=" ".join)
def test_wrong_usage_shows_how_to_get_help(words: list[str], folder: Path) -> None:
    usage, hint, empty, _ = core(words, folder).stderr.splitlines()
    command = "python -m core_messaging " + " ".join(words[:2])
    assert usage.startswith(f"Usage: {command} [OPTIONS]")
    assert hint == f"Try `{command} --help`."
    assert empty == ""


CAUSE = "ModuleNotFoundError: No module named 'there_is_none' (src/workers/broken.py:2)"


def test_a_file_that_cannot_be_imported_is_named_before_the_worker_that_is_not_found(folder: Path) -> None:
    by_file, by_class = core(["kafka", "worker", "broken"], folder), core(["kafka", "worker", "Lost"], folder)
    assert by_file.stderr.startswith(f"core: worker 'broken' from src/workers/broken.py is broken: {CAUSE}; ")
    # Lost may be in the file that could not be imported: that comes first.
    assert by_class.stderr.startswith(
        f"core: src/workers/broken.py is broken: {CAUSE}; correct or uninstall it. "
    )
    assert (
        "No worker is named 'Lost' (searched: src/workers/broken.py, src/workers/healthy.py)"
        in by_class.stderr
    )


@pytest.mark.parametrize("command", ["worker", "offsets"])
def test_a_name_beside_all_is_refused_by_its_name(command: str, folder: Path) -> None:
    ended = core(["kafka", command, "--all", "healthy"], folder)
    assert ended.returncode == 2
    assert "core: give healthy or --all, not both: --all means every worker" in ended.stderr
