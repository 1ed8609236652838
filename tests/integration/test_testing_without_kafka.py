"""Where Apache Kafka cannot be had: told in one line, skipped on a developer's machine, failed in CI with Java."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.environments import ROOT
from tests.integration.commands import PATIENCE, environment

ASKS_FOR_APACHE = (
    "tests/integration/test_starting_an_apache_cluster.py::test_three_nodes_go_on_when_one_is_killed"
)


def pytest_without_maven(folder: Path, *programs: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run one test that needs Apache Kafka where only *programs* can be found."""
    for program in programs:
        (folder / program).symlink_to("/bin/true")
    absent = {"PATH": str(folder), "JAVA_HOME": "", "XDG_CACHE_HOME": str(folder), "CORE_KAFKA_FOLDER": ""}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", ASKS_FOR_APACHE],
        cwd=ROOT,
        env=environment() | {"CI": "", "PYTHONWARNINGS": ""} | absent | env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("programs", [(), ("java",)], ids=["nothing", "java only"])
def test_its_absence_is_announced_in_one_line_and_its_tests_are_skipped(
    programs: tuple[str, ...], tmp_path: Path
) -> None:
    done = pytest_without_maven(tmp_path, *programs)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("Apache Kafka: ABSENT, its tests are skipped") == 1
    assert "1 skipped" in done.stdout


def test_in_ci_with_java_its_absence_is_a_failure(tmp_path: Path) -> None:
    # A run that skips what it should prove looks just as green.
    done = pytest_without_maven(tmp_path, "java", CI="true")
    assert done.returncode == 1
    assert "CI=true and Java is here, so Apache Kafka has to be" in done.stdout
