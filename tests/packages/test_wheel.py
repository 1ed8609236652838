"""The wheel: built, installed into an empty environment with everything it depends on, and used there."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from tests.environments import ROOT, run

# pip asks the index for each dependency, which takes its time where nothing is cached yet.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)])
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel and its dependencies, nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    run([sys.executable, "-m", "venv", str(folder)])
    run([str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", str(wheel)])
    return folder / "bin"


def test_the_wheel_holds_the_four_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert tops == {"core", "core_messaging", "core_messaging_cli", "core_messaging_plugins"}
    assert {f"{top}/py.typed" for top in tops} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_what_is_installed_can_be_imported_under_both_paths(installed: Path, tmp_path: Path) -> None:
    code = (
        "import core_messaging\n"
        "from core.messaging import worker\n"
        "from core.settings import Settings\n"
        "assert all(getattr(core_messaging, name) for name in core_messaging.__all__)\n"
        "print(Settings.model_fields['kafka_bootstrap_servers'].default)"
    )
    assert (
        run([str(installed / "python"), "-W", "error", "-c", code], cwd=tmp_path).strip() == "localhost:9092"
    )
