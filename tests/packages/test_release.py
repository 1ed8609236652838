"""What is published: both distributions as the package index wants them, and the script that makes a release."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from datetime import date
from email.parser import HeaderParser
from pathlib import Path

import pytest

from tests.environments import ROOT, run
from tools.release import NotReady, dated, published, section_of

pytestmark = pytest.mark.timeout(300)

DAY = date(2026, 12, 1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    run([sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(folder), str(ROOT)])
    (built,) = folder.glob("*.tar.gz")
    return built


def test_both_distributions_pass_the_check_of_the_index(wheel: Path, source: Path) -> None:
    said = run([sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(source)])
    assert said.count("PASSED") == 2


def test_the_wheel_says_licence_and_each_python_that_is_tested(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
    facts = HeaderParser().parsestr(archive.read(name).decode())
    assert (facts["License-Expression"], facts["License-File"]) == ("Apache-2.0", "LICENSE")
    given = {each.rpartition(" ")[2] for each in facts.get_all("Classifier", []) if "Python ::" in each}
    assert given == {"3.11", "3.12", "3.13", "3.14"}


def test_a_wheel_can_be_built_from_the_source_distribution_alone(
    source: Path, wheel: Path, tmp_path: Path
) -> None:
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    run(
        [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            str(tmp_path / "out"),
            str(folder),
        ]
    )
    (built,) = (tmp_path / "out").glob("*.whl")
    assert sorted(zipfile.ZipFile(built).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


@pytest.mark.parametrize(
    "heading", ["## 1.2.0 (unreleased)", "## [1.2.0] - unreleased", "## [Unreleased]", "## Unreleased"]
)
def test_the_section_of_the_version_gets_its_date_and_is_the_text_of_the_tag(heading: str) -> None:
    changelog = f"# Changes\n\n{heading}\n\n### Added\n\n- A thing.\n\n## 1.1.0 (2026-01-01)\n\n- Old.\n"
    new = dated(changelog, "1.2.0", DAY)
    assert "\n## [1.2.0] - 2026-12-01\n" in new
    assert "nreleased" not in new
    assert section_of(new, "1.2.0") == "### Added\n\n- A thing."


@pytest.mark.parametrize(
    ("changelog", "told"),
    [
        ("# Changes\n\n## 1.1.0 (2026-01-01)\n\n- Old.\n", "has no section ## 1.2.0 (unreleased)"),
        ("# Changes\n\n## 1.2.0 (unreleased)\n\n## 1.1.0 (2026-01-01)\n\n- Old.\n", "is empty"),
    ],
)
def test_a_version_without_changes_is_refused(changelog: str, told: str) -> None:
    with pytest.raises(NotReady, match=re.escape(told)):
        dated(changelog, "1.2.0", DAY)


def test_the_readme_stops_saying_that_the_name_is_not_published() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    turned = published(readme)
    assert "not on the package index" in readme
    assert "not on the package index" not in turned
    assert len(readme) - len(turned) < 120
    assert "\n$ pip install core-messaging\n```\n\nPython 3.11 or later.\n" in turned


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with our files, and one commit."""
    folder = tmp_path / "clone"
    left_out = shutil.ignore_patterns(
        ".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__", "build", "dist", "tests"
    )
    shutil.copytree(ROOT, folder, ignore=left_out)
    run(["git", "init", "--quiet", str(folder)])
    for words in (
        ["config", "user.name", "a maintainer"],
        ["config", "user.email", "maintainer@example.com"],
        ["add", "--all"],
        ["commit", "--quiet", "--message", "Begin"],
    ):
        run(["git", *words], cwd=folder)
    return folder


def released(folder: Path, version: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/release.py", version]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_another_version_than_the_declared_one_is_refused(clone: Path) -> None:
    refused = released(clone, "99.0")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"not released: pyproject.toml has version {declared()}; set it to 99.0, and commit that\n"
    )


def test_what_is_not_committed_is_refused(clone: Path) -> None:
    (clone / "more.txt").touch()
    assert "there are changes that are not committed" in released(clone, declared()).stderr


def test_a_version_that_is_tagged_is_refused(clone: Path) -> None:
    run(["git", "tag", f"v{declared()}"], cwd=clone)
    assert f"the tag v{declared()} is there already" in released(clone, declared()).stderr


def test_a_release_is_built_checked_committed_and_tagged_and_nothing_is_published(clone: Path) -> None:
    version = declared()
    done = released(clone, version)
    assert done.returncode == 0, done.stderr
    built = sorted(path.name for path in (clone / "dist" / version).iterdir())
    assert built == [f"core_messaging-{version}-py3-none-any.whl", f"core_messaging-{version}.tar.gz"]
    assert run(["git", "log", "-1", "--format=%s"], cwd=clone) == f"Release {version}\n"
    text = run(["git", "for-each-ref", f"refs/tags/v{version}", "--format=%(contents)"], cwd=clone)
    assert "### Added" in text
    assert f"\n## [{version}] - 20" in (clone / "CHANGELOG.md").read_text("utf-8")
    assert run(["git", "status", "--porcelain"], cwd=clone) == ""


def declared() -> str:
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    return version
