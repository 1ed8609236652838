"""``core completion``: a shell completes commands, options and the names of workers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.commands import CORE, PATIENCE, core, environment

WORKERS = """
from core_messaging import worker
print("said while it is imported")

@worker(topic="t")
async def greet(message: dict) -> None: ...

@worker(topic="t2")
async def greet_again(message: dict) -> None: ...
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src/workers").mkdir(parents=True)
    (tmp_path / "src/workers/greeting.py").write_text(WORKERS)
    (tmp_path / "src/workers/broken.py").write_text("def broken(:\n")
    return tmp_path


def completed(folder: Path, *words: str) -> list[str]:
    """What bash offers behind *words*, of which the last one is not finished."""
    script = f"""
        source <(core completion bash)
        COMP_WORDS=({" ".join(repr(word) for word in ("core", *words))})
        COMP_CWORD={len(words)}
        _core_completion core
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    env = environment(PATH=f"{Path(CORE).parent}:/usr/local/bin:/usr/bin:/bin")
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("ka",), ["kafka"]),
        (("kafka", "work"), ["worker", "workers"]),
        (("kafka", "worker", "gr"), ["greet", "greet_again"]),
        (("kafka", "worker", "greet", "--rel"), ["--reload"]),
        (("kafka", "offsets", "greet_"), ["greet_again"]),
        (("completion", ""), ["bash", "fish", "zsh"]),
    ],
)
def test_bash_completes_it(words: tuple[str, ...], offered: list[str], project: Path) -> None:
    assert sorted(completed(project, *words)) == offered


@pytest.mark.parametrize(("shell", "option"), [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")])
def test_the_script_is_one_of_its_shell(shell: str, option: str, tmp_path: Path) -> None:
    script = core("completion", shell, folder=tmp_path)
    assert (script.returncode, f"_CORE_COMPLETE={shell}_complete" in script.stdout) == (0, True)
    if found := shutil.which(shell):
        subprocess.run([found, option], input=script.stdout, text=True, timeout=PATIENCE, check=True)
