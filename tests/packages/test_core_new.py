"""``core new``: what it writes can be installed at once, its tests pass, and it is what our own checks want."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.environments import ROOT, Environment, layer, run
from tests.integration.commands import core

pytestmark = pytest.mark.timeout(300)

RUFF = [sys.executable, "-m", "ruff"]
# The second one: core-messaging is installed editable here, see filterwarnings in pyproject.toml.
PYTEST = ["-m", "pytest", "-q", "-W", "error", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
OURS_OF_MYPY = ["--config-file", str(ROOT / "pyproject.toml")]
OURS = ["--config", str(ROOT / "pyproject.toml")]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = layer(tmp_path_factory.mktemp("environment"))
    made.install("--editable", str(ROOT))
    return made


def made(kind: str, name: str, folder: Path) -> Path:
    written = core("new", kind, name, folder=folder)
    assert written.returncode == 0, written.stderr
    assert written.stdout == f"wrote {name}: cd {name} && pip install -e '.[test]' && pytest\n"
    return folder / name


def listed_as_a_worker(environment: Environment, folder: Path) -> None:
    found = core("kafka", "workers", "--json", folder=folder, command=str(environment.core))
    rows = {row["name"]: row for row in json.loads(found.stdout)}
    assert (found.returncode, rows["ParcelTracker"]["state"]) == (0, "ok"), found.stdout


def listed_as_a_plugin(environment: Environment, folder: Path) -> None:
    found = core("plugins", "--check", "--json", folder=folder, command=str(environment.core))
    rows = {row["name"]: row for row in json.loads(found.stdout)}
    assert (found.returncode, rows["label-printer"]["state"]) == (0, "ok"), found.stdout
    assert rows["label-printer"]["from"] == "label-printer 0.1.0"


@pytest.mark.parametrize(
    ("kind", "name", "listed"),
    [
        ("worker", "parcel-tracker", listed_as_a_worker),
        ("plugin", "label-printer", listed_as_a_plugin),
    ],
)
def test_the_package_installs_passes_its_tests_and_our_checks_and_is_listed(
    kind: str,
    name: str,
    listed: Callable[[Environment, Path], None],
    environment: Environment,
    tmp_path: Path,
) -> None:
    package = made(kind, name, tmp_path)
    environment.install("--editable", str(package))
    assert "passed" in run([str(environment.python), *PYTEST], cwd=package)
    listed(environment, tmp_path)
    # An editable install is invisible to mypy; the source is not.
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml")]
    run(["env", f"MYPYPATH={ROOT}:src", *mypy, "src", "tests"], cwd=package)
    run([*RUFF, "check", *OURS, "."], cwd=package)
    run([*RUFF, "format", "--check", *OURS, "."], cwd=package)


def test_a_project_passes_its_tests_and_our_checks_and_its_worker_is_listed(
    environment: Environment, tmp_path: Path
) -> None:
    written = core("new", "project", "letter-box", folder=tmp_path)
    assert written.stdout == (
        "wrote letter-box: cd letter-box && pip install -r requirements-dev.txt && pytest\n"
    )
    folder = tmp_path / "letter-box"
    assert "2 passed" in run([str(environment.python), *PYTEST], cwd=folder)
    listed = core("kafka", "workers", "--json", folder=folder, command=str(environment.core))
    assert {"LetterBox": "ok"}.items() <= {
        row["name"]: row["state"] for row in json.loads(listed.stdout)
    }.items()
    mypy = [sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases"]
    run(["env", f"MYPYPATH={ROOT}:.", *mypy, *OURS_OF_MYPY, "src", "tests"], cwd=folder)
    # A project is no package: src/workers stands as the user's own does.
    run([*RUFF, "check", *OURS, "--ignore", "INP001", "."], cwd=folder)
    run([*RUFF, "format", "--check", *OURS, "."], cwd=folder)


def test_a_project_has_what_it_takes_to_be_deployed(tmp_path: Path) -> None:
    assert core("new", "project", "letter-box", folder=tmp_path).returncode == 0
    folder = tmp_path / "letter-box"
    paths = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert paths >= {"Dockerfile", ".dockerignore", "compose.yaml", ".gitignore", ".github/workflows/ci.yml"}
    # What the Dockerfile copies is there, and no page has a word of the template left.
    copied = re.findall(r"^COPY (\S+)", (folder / "Dockerfile").read_text(), re.MULTILINE)
    assert copied == ["requirements.txt", "pyproject.toml", "src"]
    assert all((folder / name).exists() for name in copied)
    assert not [path for path in paths if "{{" in (folder / path).read_text()]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("json", "would hide the module json,"),
        ("core", "would hide the module core,"),
        ("tests", "would hide the module tests,"),
        ("core-messaging", "would hide the module core_messaging,"),
        ("class", "is a keyword of Python"),
        ("none", "would make a class None"),
        ("worker", "would make a class Worker"),
        ("two words", "is not a package name"),
        ("../escape", "is not a package name"),
        ("-x", "No such option"),
        ("taken", "exists already"),
        ("afile", "exists already"),
        ("dangling", "exists already"),
    ],
)
def test_a_name_that_does_not_do_is_one_line_and_nothing_is_written(
    name: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").touch()
    (tmp_path / "afile").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    refused: subprocess.CompletedProcess[str] = core("new", "worker", name, folder=tmp_path)
    assert refused.returncode != 0
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr
    if refused.returncode == 1:
        assert len(refused.stderr.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_plugin_is_not_called_like_one_of_ours(tmp_path: Path) -> None:
    refused = core("new", "plugin", "health", folder=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.strip().endswith(
        "'health' is the name of one of the plugins of core-messaging; choose another name"
    )
    assert core("new", "worker", "health", folder=tmp_path).returncode == 0


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "parcel-tracker").mkdir()
    assert (made("worker", "parcel-tracker", tmp_path) / "pyproject.toml").is_file()
