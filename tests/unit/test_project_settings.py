"""Settings come from src/settings.py, the environment and .env; a wrong one is a line, never a secret."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core_messaging.errors import ConfigurationError
from core_messaging.project import Project
from core_messaging.settings import Settings


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    (tmp_path / "src").mkdir()
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "src"]:
        del sys.modules[name]


def write_settings(project: Path, body: str, base: str = "from core.settings import Settings") -> None:
    (project / "src/settings.py").write_text(f"{base}\n{body}")


def test_app_settings_of_the_project_are_used(project: Path) -> None:
    write_settings(
        project,
        "class AppSettings(Settings):\n    kafka_enabled: bool = True\n    kafka_bootstrap_servers: str = 'a:1'\n",
    )
    assert Project(project).settings().kafka_bootstrap_servers == "a:1"


def test_the_environment_wins_over_dotenv_and_dotenv_over_the_class(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_settings(project, "class AppSettings(Settings):\n    kafka_bootstrap_servers: str = 'class:1'\n")
    (project / ".env").write_text("KAFKA_BOOTSTRAP_SERVERS=dotenv:1\nSHUTDOWN_TIMEOUT=7\nUNRELATED=x\n")
    assert Project(project).settings().kafka_bootstrap_servers == "dotenv:1"
    assert Project(project).settings().shutdown_timeout == 7.0
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "env:1")
    assert Project(project).settings().kafka_bootstrap_servers == "env:1"


def test_without_a_settings_file_the_defaults_count(project: Path) -> None:
    assert Project(project).settings().kafka_bootstrap_servers == "localhost:9092"


def test_a_wrong_value_names_the_setting_and_never_its_value(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHUTDOWN_TIMEOUT", "hunter2")
    with pytest.raises(ConfigurationError) as caught:
        Project(project).settings()
    assert "SHUTDOWN_TIMEOUT" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_settings_file_that_breaks_is_one_line(project: Path) -> None:
    write_settings(project, "raise RuntimeError('boom')")
    with pytest.raises(ConfigurationError, match=r"src/settings.py cannot be imported: RuntimeError: boom"):
        Project(project).settings()


def test_a_settings_file_that_may_not_be_read_is_one_line(project: Path) -> None:
    # pydantic-settings opens .env with whatever rights there are.
    write_settings(
        project,
        "class AppSettings(Settings):\n"
        "    def __init__(self): raise PermissionError(13, 'Permission denied', '.env')\n",
    )
    with pytest.raises(
        ConfigurationError, match=r"cannot be read: .*Permission denied: '\.env'; let this user"
    ):
        Project(project).settings()


def test_secrets_show_nowhere() -> None:
    settings = Settings(kafka_sasl_password="hunter2", kafka_ssl_password="hunter2")  # type: ignore[arg-type] # noqa: S106 - pydantic makes the SecretStr
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hunter2" not in text
