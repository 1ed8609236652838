"""The section of a plugin in pyproject.toml and its variables: validated, and never ignored in silence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from core_messaging.errors import ConfigurationError, PluginError
from core_messaging.plugins.manager import load
from core_messaging.settings import Settings
from tests.unit.plugins.conftest import Install
from tests.unit.plugins.plugin_sources import CONFIGURED

SETTINGS = Settings()
HEAD = "from core_messaging import hookimpl\n"
GOOD = HEAD + "@hookimpl\ndef on_success(worker, result): ...\n"


def test_a_plugin_gets_its_section_validated_with_the_environment_on_top(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("notify", CONFIGURED)
    (tmp_path / "pyproject.toml").write_text('[tool.core.plugins.notify]\nurl = "a"\nretries = 2\n')
    monkeypatch.setenv("CORE_PLUGIN_NOTIFY_RETRIES", "7")
    load(SETTINGS)
    (config, client_id), *_ = sys.modules["notify"].seen
    assert (config.url, config.retries, client_id) == ("a", 7, "core-messaging")


LACKING = (
    "from core_messaging.plugins import PluginUnavailable\nraise PluginUnavailable('pip install acme')\n"
)


@pytest.mark.parametrize("where", ["section", "variable", "dotenv"])
def test_what_is_configured_and_lacks_something_stops_the_start(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    # The port was set, the extra was not installed, and the worker ran without metrics, in silence.
    install("metrics", LACKING)
    if where == "section":
        (tmp_path / "pyproject.toml").write_text("[tool.core.plugins.metrics]\nport = 9100\n")
    elif where == "variable":
        monkeypatch.setenv("CORE_PLUGIN_METRICS_PORT", "9100")
    else:
        (tmp_path / ".env").write_text("CORE_PLUGIN_METRICS_PORT=9100")
    with pytest.raises(
        PluginError, match=r"plugin metrics .* unavailable: pip install acme; .*--disable-plugin"
    ):
        load(SETTINGS)
    load(SETTINGS, disable=["metrics"])


def test_what_nobody_configured_may_lack_something_in_silence(
    install: Install, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install("metrics", LACKING)
    install("metrics-more", CONFIGURED)
    monkeypatch.setenv("CORE_PLUGIN_METRICS_MORE_URL", "a")
    load(SETTINGS)
    assert caplog.text == ""


def test_a_wrong_section_stops_the_start_and_names_where_to_mend_it(install: Install, tmp_path: Path) -> None:
    install("notify", CONFIGURED)
    (tmp_path / "pyproject.toml").write_text("[tool.core.plugins.notify]\nurl = 3\n")
    with pytest.raises(
        ConfigurationError, match=r"plugin notify \(notify 1.0\): .*url.*tool.core.plugins.notify"
    ):
        load(SETTINGS)


@pytest.mark.parametrize("section", ["[tool.core]\nplugins = 3\n", "[tool.core.plugins]\nnotify = 8080\n"])
def test_a_section_that_is_no_table_is_one_line(install: Install, tmp_path: Path, section: str) -> None:
    install("notify", CONFIGURED)
    (tmp_path / "pyproject.toml").write_text(section)
    with pytest.raises(ConfigurationError, match=r"has to be a table; write \[tool.core.plugins"):
        load(SETTINGS)


def test_a_section_of_nobody_is_warned_about_with_the_nearest_name(
    install: Install, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A misspelled one configured nothing, in silence.
    install("audit-log", GOOD)
    (tmp_path / "pyproject.toml").write_text("[tool.core.plugins.audit-lag]\nx = 3\n")
    load(SETTINGS)
    assert (
        "[tool.core.plugins.audit-lag] is for no plugin that is installed; did you mean 'audit-log'?"
        in caplog.text
    )


def test_a_field_a_shipped_plugin_does_not_have_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.core.plugins.health]\nprot = 8080\n")
    with pytest.raises(ConfigurationError, match=r"plugin health .*`prot`"):
        load(SETTINGS)


@pytest.mark.parametrize(
    "name", ["CORE_PLUGIN_HEALHT_PORT", "CORE_PLUGIN_HEALTH_PROT", "core_plugin_health_port"]
)
def test_a_misspelt_variable_of_a_plugin_is_told_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    monkeypatch.setenv(name, "8080")
    load(SETTINGS)
    assert (
        f"{name} in the environment or .env belongs to no plugin that is installed; did you mean CORE_PLUGIN_HEALTH_PORT?"
        in caplog.text
    )


@pytest.mark.parametrize("name", ["CORE_PLUGIN_HEALTH_HOST", "CORE_PLUGIN_OF_OTHERS_URL"])
def test_variables_that_are_right_or_of_others_are_not_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    monkeypatch.setenv(name, "127.0.0.1")
    load(SETTINGS)
    assert name not in caplog.text


def test_a_variable_of_a_plugin_with_a_longer_name_is_not_of_this_one(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("notify", CONFIGURED.replace("msgspec.Struct", "msgspec.Struct, forbid_unknown_fields=True"))
    monkeypatch.setenv("CORE_PLUGIN_NOTIFY_URL", "a")
    monkeypatch.setenv("CORE_PLUGIN_NOTIFY_MORE_URL", "b")
    load(SETTINGS)
    assert sys.modules["notify"].seen[0][0].url == "a"


def test_a_configure_that_raises_stops_the_start_with_the_plugins_name(install: Install) -> None:
    install("notify", HEAD + "@hookimpl\ndef configure(config): return 1 / 0\n")
    with pytest.raises(
        PluginError,
        match=r"plugin notify \(notify 1.0\): configure raised ZeroDivisionError: .*--disable-plugin",
    ):
        load(SETTINGS)


def test_a_section_for_a_plugin_that_takes_none_is_refused(install: Install, tmp_path: Path) -> None:
    install("audit-log", GOOD)
    (tmp_path / "pyproject.toml").write_text("[tool.core.plugins.audit-log]\nx = 3\n")
    with pytest.raises(ConfigurationError, match="takes no configuration"):
        load(SETTINGS)
