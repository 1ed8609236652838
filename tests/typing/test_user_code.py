"""What users write passes the strict modes of mypy and pyright, and a wrong use of it is told by both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environments import ROOT

CODE = (Path(__file__).parent / "user_code.py").read_text("utf-8")
MYPY = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml")]
WRONG = {
    "the decorator keeps the signature": "lost: Callable[[int], str] = process_order",
    "a result has the type of its function": "text: str = list_workers()",
    "a hook has typed arguments": "Plugin().on_dead_letter(1, 2, 3)",
}

pytestmark = pytest.mark.timeout(300)


def mypy(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MYPY, "code.py"],
        cwd=folder,
        env={"MYPYPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def pyright(folder: Path) -> subprocess.CompletedProcess[str]:
    config = {"typeCheckingMode": "strict", "include": ["code.py"], "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_user_code_passes_strictly(checker: object, tmp_path: Path) -> None:
    assert callable(checker)
    (tmp_path / "code.py").write_text(CODE)
    done = checker(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_a_wrong_use_is_told(checker: object, tmp_path: Path) -> None:
    assert callable(checker)
    (tmp_path / "code.py").write_text("\n".join([CODE, *WRONG.values()]))
    done = checker(tmp_path)
    first = CODE.count("\n") + 2  # behind the empty line that ends it
    told = [n for n in range(len(WRONG)) if f"code.py:{first + n}:" in done.stdout]
    assert told == list(range(len(WRONG))), done.stdout
