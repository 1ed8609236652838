"""Plugins are loaded one at a time; what is wrong with one is told with its distribution's name."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from core_messaging.errors import ConfigurationError, PluginError
from core_messaging.observers import NOBODY
from core_messaging.plugins.manager import PluginReport, find, load
from core_messaging.settings import Settings
from tests.unit.plugins.conftest import Install

SETTINGS = Settings()
HEAD = "from core_messaging import hookimpl\n"
GOOD = HEAD + "@hookimpl\ndef on_success(worker, result): ...\n@hookimpl\nasync def on_error(error): ...\n"


def the_report(name: str, **options: object) -> PluginReport:
    (report,) = [r for r in find(SETTINGS, **options) if r.name == name]  # type: ignore[arg-type] # only disable=
    return report


def test_a_plugin_is_listed_with_hooks_file_and_import_time(install: Install) -> None:
    install("audit-log", GOOD)
    report = the_report("audit-log")
    assert (report.label, report.state, report.hooks) == ("audit-log 1.0", "ok", ("on_error", "on_success"))
    assert report.file.endswith("audit_log.py")
    assert report.seconds > 0


@pytest.mark.parametrize(
    ("source", "state", "cause"),
    [
        ("import acme_db", "broken", "ModuleNotFoundError: No module named 'acme_db'"),
        ("import sys; sys.exit(1)", "broken", "SystemExit: 1"),
        (HEAD + "@hookimpl\ndef on_sucess(worker): ...", "broken", "there is no hook 'on_sucess'; did you mean 'on_success'?"),
        (HEAD + "@hookimpl\ndef on_error(worker, exception): ...", "broken", "on_error has no argument 'exception'; it has worker, message, error, context"),
        (HEAD + "@hookimpl(wrapper=True)\ndef on_error(): yield", "broken", "on_error is a pluggy wrapper"),
        (HEAD + "@hookimpl\ndef wrap_process(call_next): ...", "broken", "wrap_process must be async def"),
        ("core_api = '99'", "incompatible", "it wants core_api 99, this is 1"),
        ("from core_messaging.plugins import PluginUnavailable\nraise PluginUnavailable('needs x')", "unavailable", "needs x"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_and_the_healthy_ones_are_loaded(
    install: Install, source: str, state: str, cause: str
) -> None:
    install("healthy", GOOD)
    install("acme-plugin", source)
    report = the_report("acme-plugin")
    assert (report.state, report.label) == (state, "acme-plugin 1.0")
    assert cause in report.cause
    assert the_report("healthy").state == "ok"
    assert load(SETTINGS).observers().on_success is not None


def test_two_plugins_of_one_name_are_a_conflict_that_names_the_other(install: Install) -> None:
    install("first", GOOD, name="same")
    install("second", GOOD, name="same")
    reports = {report.label: report for report in find(SETTINGS)}
    assert {r.state for r in reports.values()} == {"conflict"}
    assert "second 1.0" in reports["first 1.0"].cause


def test_a_plugin_is_disabled_by_option_environment_setting_and_allow_list(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("audit-log", "raise RuntimeError('must not even be imported')")
    install("other", GOOD)
    assert the_report("audit-log", disable=["audit-log"]).cause == "by --disable-plugin"
    monkeypatch.setenv("CORE_PLUGINS_DISABLE", "audit-log, nothing")
    assert the_report("audit-log").cause == "by CORE_PLUGINS_DISABLE"
    monkeypatch.delenv("CORE_PLUGINS_DISABLE")
    (report,) = [r for r in find(Settings(core_plugins_disable=("audit-log",))) if r.name == "audit-log"]
    assert report.cause == "by the setting core_plugins_disable"
    monkeypatch.setenv("CORE_PLUGINS", "other")
    assert the_report("audit-log").cause == "not in CORE_PLUGINS"
    assert the_report("other").state == "ok"


@pytest.mark.parametrize("given", ["health,outcome-log", "health outcome-log", "health"])
def test_the_environments_list_of_disabled_plugins_is_words_not_json(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("CORE_PLUGINS_DISABLE", given)
    settings = Settings()
    assert settings.core_plugins_disable == tuple(given.replace(",", " ").split())
    (report,) = [r for r in find(settings) if r.name == "health"]
    assert (report.state, report.cause) == ("disabled", "by CORE_PLUGINS_DISABLE")


def test_a_name_that_disables_nothing_is_warned_about_with_the_nearest_one(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    # Elsewhere a misspelled name failed in silence, and the plugin ran on.
    install("audit-log", GOOD)
    find(SETTINGS, disable=["audit-logg"])
    assert "no plugin is called 'audit-logg'; did you mean 'audit-log'?" in caplog.text


CONFIGURED = """
import msgspec
from core_messaging import hookimpl

class Notify(msgspec.Struct):
    url: str
    retries: int = 1

core_config = Notify
seen = []

@hookimpl
def configure(config, settings):
    seen.append((config, settings.kafka_client_id))
"""


def test_a_plugin_gets_its_section_validated_with_the_environment_on_top(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("notify", CONFIGURED)
    (tmp_path / "pyproject.toml").write_text('[tool.core.plugins.notify]\nurl = "a"\nretries = 2\n')
    monkeypatch.setenv("CORE_PLUGIN_NOTIFY_RETRIES", "7")
    load(SETTINGS)
    (config, client_id), *_ = sys.modules["notify"].seen
    assert (config.url, config.retries, client_id) == ("a", 7, "core-messaging")


def test_the_variables_of_plugins_may_stand_in_dotenv_and_the_environment_wins(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only CORE_PLUGINS_DISABLE did; the others were ignored there, in silence.
    install("notify", CONFIGURED)
    install("audit-log", "raise RuntimeError('must not even be imported')")
    lines = ["CORE_PLUGINS=notify", "CORE_PLUGIN_NOTIFY_URL=a", "CORE_PLUGIN_NOTIFY_RETRIES=2"]
    (tmp_path / ".env").write_text("\n".join(lines))
    monkeypatch.setenv("CORE_PLUGIN_NOTIFY_RETRIES", "7")
    load(Settings())
    (config, _), *_ = sys.modules["notify"].seen
    assert (config.url, config.retries) == ("a", 7)
    assert the_report("audit-log").cause == "not in CORE_PLUGINS"
    (tmp_path / ".env").write_text("CORE_PLUGINS_DISABLE=audit-log")
    assert the_report("audit-log").cause == "by CORE_PLUGINS_DISABLE"


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


def test_nobody_listening_leaves_every_slot_empty(install: Install) -> None:
    assert load(SETTINGS).observers() == NOBODY


def test_json_facts_of_a_report_are_plain(install: Install) -> None:
    install("audit-log", GOOD)
    report = the_report("audit-log")
    assert json.dumps([report.name, report.hooks, report.seconds])
