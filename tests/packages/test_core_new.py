"""``core new``: what it writes can be installed at once, its tests pass, and it is what our own checks want."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environments import ROOT, layer, run
from tests.integration.commands import core

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize(
    ("kind", "listing", "listed"),
    [
        ("worker", ("kafka", "workers", "--json"), {"name": "ParcelTracker", "state": "ok"}),
        ("plugin", ("plugins", "--json"), {"name": "parcel-tracker", "state": "ok"}),
    ],
)
def test_the_package_installs_and_its_own_tests_pass(
    kind: str, listing: tuple[str, ...], listed: dict[str, str], tmp_path: Path
) -> None:
    made = core("new", kind, "parcel-tracker", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    package = tmp_path / "parcel-tracker"
    environment = layer(tmp_path / "environment")
    environment.install("--editable", str(ROOT))
    environment.install("--editable", str(package))
    assert "passed" in run([str(environment.python), "-m", "pytest", "-q", "-W", "error"], cwd=package)
    found = core(*listing, folder=tmp_path, command=str(environment.core))
    rows = [row for row in json.loads(found.stdout) if row["name"] == listed["name"]]
    assert [row["state"] for row in rows] == [listed["state"]], found.stdout
    # An editable install is invisible to mypy; the source is not.
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml")]
    run(["env", f"MYPYPATH={ROOT}", *mypy, "src"], cwd=package)
    run(
        [sys.executable, "-m", "ruff", "check", "--line-length", "110", "--select", "E,F,I,UP,B,SIM", "."],
        cwd=package,
    )
    run([sys.executable, "-m", "ruff", "format", "--line-length", "110", "--check", "."], cwd=package)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("json", "would hide a module"),
        ("class", "would hide a module"),
        ("two words", "is no package name"),
        ("../escape", "is no package name"),
        ("taken", "exists already"),
    ],
)
def test_a_name_that_does_not_do_is_one_line_and_nothing_is_written(
    name: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").touch()
    before = sorted(tmp_path.rglob("*"))
    refused: subprocess.CompletedProcess[str] = core("new", "worker", name, folder=tmp_path)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert told in line
    assert sorted(tmp_path.rglob("*")) == before
