"""The wheel: built, installed into an empty environment with everything it depends on, and used there."""

from __future__ import annotations

import signal
import sys
import zipfile
from pathlib import Path

import pytest

from core_messaging.local_broker.embedded import EmbeddedBroker
from tests.environments import ROOT, run
from tests.integration.commands import core, running_core

# pip asks the index for each dependency, which takes its time where nothing is cached yet.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel and its dependencies, nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    run([sys.executable, "-m", "venv", str(folder)])
    run([str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", str(wheel)])
    return folder / "bin"


def test_the_wheel_holds_the_five_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert tops == {
        "core",
        "core_messaging",
        "core_messaging_cli",
        "core_messaging_dashboard",
        "core_messaging_plugins",
    }
    assert {f"{top}/py.typed" for top in tops} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_holds_what_new_packages_are_made_of(wheel: Path) -> None:
    templates = ROOT / "cli/core_messaging_cli/templates"
    wanted = {str(f.relative_to(ROOT / "cli")) for f in templates.rglob("*") if f.is_file()}
    assert len(wanted) >= 10
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())


def test_without_the_extra_a_new_package_is_refused_in_one_line_with_the_remedy(
    installed: Path, tmp_path: Path
) -> None:
    refused = core("new", "worker", "parcel-tracker", folder=tmp_path, command=str(installed / "core"))
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.endswith("needs Jinja, which is not installed; pip install 'core-messaging[new]'")
    assert list(tmp_path.iterdir()) == []


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


def test_the_installed_command_publishes_and_works(installed: Path, tmp_path: Path) -> None:
    command = str(installed / "core")
    workers = tmp_path / "src" / "workers"
    workers.mkdir(parents=True)
    (workers / "greet.py").write_text(
        "from core.messaging import worker\n\n\n"
        "@worker(topic='names')\n"
        "async def greet(message: dict) -> None:\n"
        "    print('hello', message['name'], flush=True)\n"
    )
    with EmbeddedBroker() as broker:
        broker.create_topic("names")
        here = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
        assert "kafka" in core("--help", folder=tmp_path, command=command).stdout
        published = core(
            "kafka",
            "publish",
            "names",
            "--message",
            '{"name": "ada"}',
            folder=tmp_path,
            env=here,
            command=command,
        )
        assert published.returncode == 0, published.stderr
        with running_core("kafka", "worker", "--all", folder=tmp_path, env=here, command=command) as running:
            running.until_said("hello ada")
            running.signal(signal.SIGTERM)
            assert running.wait() == 0, running.output
