"""Settings come from src/settings.py, the environment and .env; a wrong one is a line, never a secret."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core_messaging.discovery.project import Project
from core_messaging.errors import ConfigurationError
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
    with pytest.raises(
        ConfigurationError,
        match=r"src/settings.py cannot be imported: RuntimeError: boom \(src/settings.py:2\)",
    ):
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


SERVERS = "class AppSettings(Settings):\n    kafka_bootstrap_servers: str = 'production:9092'\n"
IMPORT = "from core.settings import Settings\n"
# What src/settings.py, or what else is named, may be; all of them mean production.
SPELLINGS = {
    "imported": {"src/settings.py": "from shop.conf import AppSettings\n", "shop/conf.py": IMPORT + SERVERS},
    "imported under another name": {
        "src/settings.py": "from shop.conf import AppSettings as ShopSettings\n",
        "shop/conf.py": IMPORT + SERVERS,
    },
    "a package": {"src/settings/__init__.py": IMPORT + SERVERS},
    "a package that re-exports": {
        "src/settings/__init__.py": "from .base import AppSettings\n",
        "src/settings/base.py": IMPORT + SERVERS,
    },
    "beside another AppSettings": {
        "src/settings.py": IMPORT
        + "from pydantic_settings import BaseSettings\n"
        + SERVERS.replace("AppSettings", "KafkaSettings")
        + "class AppSettings(BaseSettings):\n    debug: bool = False\n"
    },
    "a base class that is imported": {
        "src/settings.py": "from shop.conf import Base\nclass Shop(Base): pass\n",
        "shop/conf.py": IMPORT + SERVERS.replace("AppSettings", "Base"),
    },
    "an alias": {
        "src/settings.py": IMPORT
        + "class Dev(Settings): pass\n"
        + SERVERS.replace("AppSettings", "Prod")
        + "AppSettings = Prod\n"
    },
    "an instance": {
        "src/settings.py": IMPORT + "settings = Settings(kafka_bootstrap_servers='production:9092')\n"
    },
    "an instance of its class": {
        "src/settings.py": IMPORT
        + "class AppSettings(Settings): pass\n"
        + "settings = AppSettings(kafka_bootstrap_servers='production:9092')\n"
    },
    "beside an object that cannot be asked": {
        "src/settings.py": IMPORT
        + "class Lazy:\n    @property\n    def __class__(self): raise RuntimeError('no request')\n"
        + "request = Lazy()\n"
        + SERVERS
    },
}


def write(project: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)


@pytest.fixture
def forget_shop() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "shop"]:
        del sys.modules[name]


@pytest.mark.parametrize("files", SPELLINGS.values(), ids=SPELLINGS)
def test_settings_are_used_however_the_module_comes_by_them(
    project: Path, forget_shop: None, files: dict[str, str]
) -> None:
    write(project, files)
    assert Project(project).settings().kafka_bootstrap_servers == "production:9092"


# Each would leave localhost in force, in silence.
REFUSED = {
    "several classes": (
        {"src/settings.py": IMPORT + "class A(Settings): pass\nclass B(Settings): pass\n"},
        r"several settings classes \(A, B\); call the one to use AppSettings",
    ),
    "no subclass": (
        {
            "src/settings.py": "from pydantic_settings import BaseSettings as Settings\n"
            "class AppSettings(Settings):\n    kafka_bootstrap_servers: str = 'production:9092'\n"
        },
        "AppSettings sets kafka_bootstrap_servers and is not read",
    ),
    "constants": (
        {"src/settings.py": "KAFKA_BOOTSTRAP_SERVERS = 'production:9092'\n"},
        "sets KAFKA_BOOTSTRAP_SERVERS outside of a settings class",
    ),
    "file and package": (
        {"src/settings.py": IMPORT + SERVERS, "src/settings/__init__.py": ""},
        "Python reads the folder only; remove one of them",
    ),
    "no package": ({"src/settings/base.py": IMPORT + SERVERS}, r"src/settings/ has no __init__\.py"),
    "an exit": ({"src/settings.py": "raise SystemExit(0)\n"}, "cannot be imported: SystemExit: 0"),
    "misspelt in the class": (
        {"src/settings.py": IMPORT + SERVERS.replace("servers", "server")},
        "kafka_bootstrap_server in the settings class is no setting; did you mean kafka_bootstrap_servers?",
    ),
    "in capitals in the class": (
        {"src/settings.py": IMPORT + SERVERS.replace("kafka_bootstrap_servers", "KAFKA_BOOTSTRAP_SERVERS")},
        "KAFKA_BOOTSTRAP_SERVERS in the settings class is no setting; did you mean kafka_bootstrap_servers?",
    ),
    "misspelt in .env": (
        {".env": "KAFKA_BOOTSTRAP_SERVER=production:9092\n"},
        r"KAFKA_BOOTSTRAP_SERVER in \.env is no setting; did you mean KAFKA_BOOTSTRAP_SERVERS\?",
    ),
    "a name of others": (
        {".env": "KAFKA_BROKERS=production:9092\n"},
        "did you mean KAFKA_BOOTSTRAP_SERVERS",
    ),
    "a ClassVar": (
        {
            "src/settings.py": "from typing import ClassVar\n"
            + IMPORT
            + SERVERS.replace(": str", ": ClassVar[str]")
        },
        "kafka_bootstrap_servers in the settings class is a ClassVar",
    ),
    "in pyproject.toml": (
        {"pyproject.toml": "[tool.core]\nkafka_bootstrap_servers = 'production:9092'\n"},
        r"kafka_bootstrap_servers in \[tool\.core\] is not read; set KAFKA_BOOTSTRAP_SERVERS in the environment",
    ),
    "misspelt in pyproject.toml": (
        {"pyproject.toml": "[tool.core]\nplugins_disable = ['health']\n"},
        r"plugins_disable in \[tool\.core\] is not read; set CORE_PLUGINS_DISABLE in the environment",
    ),
    "a misspelt table": (
        {"pyproject.toml": "[tool.core.plugin.health]\nport = 8080\n"},
        r"plugin in \[tool\.core\] is not read; did you mean plugins\?",
    ),
    "with a prefix of its own": (
        {
            "src/settings.py": IMPORT
            + "class AppSettings(Settings):\n    model_config = {'env_prefix': 'SHOP_'}\n",
            ".env": "SHOP_KAFKA_BOOTSTRAP_SERVER=production:9092\n",
        },
        "did you mean SHOP_KAFKA_BOOTSTRAP_SERVERS",
    ),
}


@pytest.mark.parametrize(("files", "words"), REFUSED.values(), ids=REFUSED)
def test_settings_that_would_be_ignored_are_refused_in_one_line(
    project: Path, files: dict[str, str], words: str
) -> None:
    write(project, files)
    with pytest.raises(ConfigurationError, match=words) as caught:
        Project(project).settings()
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["KAFKA_BOOTSTRAP_SERVER", "CORE_KAFKA_BOOTSTRAP_SERVERS", "kafka_bootstrap_server"]
)
def test_a_misspelt_variable_is_refused_unless_the_setting_itself_is_there(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "production:9092")
    with pytest.raises(
        ConfigurationError, match="in the environment is no setting; did you mean KAFKA_BOOTSTRAP_SERVERS"
    ):
        Project(project).settings()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "both-are-meant:9092")
    assert Project(project).settings().kafka_bootstrap_servers == "both-are-meant:9092"


@pytest.mark.parametrize(
    "name",
    [
        "KAFKA_HEAP_OPTS",
        "KAFKA_PORT",
        "CORE_PLUGINS",
        "CORE_PLUGIN_HEALTH_PORT",
        "CORE_KAFKA_FOLDER",
        "SMTP_HOST",
        "CORE_API_URL",
    ],
)
def test_variables_of_others_are_left_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    assert Project(project).settings() == Settings()


def test_keys_of_others_in_tool_core_are_left_alone(project: Path) -> None:
    (project / "pyproject.toml").write_text(
        "[tool.core]\nline_length = 3\nname = 'a'\n[tool.core.plugins.x]\na = 1\n"
    )
    assert Project(project).settings() == Settings()


def test_settings_of_the_projects_own_are_left_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_settings(
        project,
        "class AppSettings(Settings):\n    kafka_bootstrap_servers: str = 'a:1'\n    smtp_host: str = 'b'\n"
        "    kafka_topic_of_orders: str = 'orders'\n    kafka_brokers: str = 'read by the class itself'\n",
    )
    monkeypatch.setenv("SMTP_HOST", "c")
    assert Project(project).settings().kafka_bootstrap_servers == "a:1"


def test_a_misspelt_argument_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="did you mean kafka_bootstrap_servers"):
        Settings(kafka_bootstrap_server="production:9092")  # type: ignore[call-arg] # the fault under test


def test_a_pyproject_with_a_byte_order_mark_is_read(project: Path) -> None:
    # Editors of Windows write one.
    (project / "pyproject.toml").write_bytes(b'\xef\xbb\xbf[tool.core]\nworkers = ["shop.workers"]\n')
    assert [module.name for module in Project(project).modules()] == ["shop.workers"]
