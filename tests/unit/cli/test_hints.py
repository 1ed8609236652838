"""A command that there is not leads to the one that is meant, and a folder without workers to the one that has some."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from core_messaging_cli.main import core


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["worker", "EmailWorker"], "did you mean `core kafka worker EmailWorker`?"),
        (["publish", "t"], "did you mean `core kafka publish t`?"),
        (["up"], "did you mean `core kafka up`?"),
        (["ofsets", "A", "--json"], "did you mean `core kafka offsets A --json`?"),
        (["plugin"], "did you mean 'plugins'?"),
        (["kafka", "wroker"], "did you mean 'worker'?"),
        (["xyzzy"], "there are new, completion, plugins, kafka"),
    ],
)
def test_a_command_that_there_is_not_leads_to_the_one_that_is_meant(words: list[str], hint: str) -> None:
    found = CliRunner().invoke(core, words, prog_name="core")
    assert found.exit_code == 2
    assert hint in found.output


@pytest.mark.parametrize(
    "words",
    [
        ["workers"],
        ["worker", "--all"],
        ["worker", "EmailWorker"],
        ["offsets", "--all"],
        ["offsets", "EmailWorker"],
    ],
)
def test_from_a_subfolder_the_searched_path_is_said_and_where_the_workers_are(
    words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "src/workers").mkdir(parents=True)
    below = tmp_path / "deploy/scripts"
    below.mkdir(parents=True)
    found = subprocess.run(
        [sys.executable, "-m", "core_messaging", "kafka", *words],
        cwd=below,
        capture_output=True,
        text=True,
        check=False,
    )
    said = found.stdout + found.stderr
    assert f"nothing under {below}/src/workers ({tmp_path} has src/workers: run the command there)" in said
    assert found.returncode == (0 if words == ["workers"] else 1)
    assert "Traceback" not in said


@pytest.mark.parametrize("words", [[], ["kafka"], ["new"]])
def test_a_group_without_a_command_prints_its_help(words: list[str], tmp_path: Path) -> None:
    program = "from core_messaging_cli.main import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", program, *words],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = ended.stdout + ended.stderr
    assert "\nCommands:\n" in said
    assert "Error" not in said
    assert "Traceback" not in said
