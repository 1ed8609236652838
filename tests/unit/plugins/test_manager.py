"""Plugins are loaded one at a time; what is wrong with one is told with its distribution's name."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from core_messaging.observers import NOBODY
from core_messaging.plugins.manager import PluginReport, find, load
from core_messaging.settings import Settings
from tests.unit.plugins.conftest import Install
from tests.unit.plugins.plugin_sources import CONFIGURED

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


def test_nobody_listening_leaves_every_slot_empty(install: Install) -> None:
    assert load(SETTINGS).observers() == NOBODY


def test_json_facts_of_a_report_are_plain(install: Install) -> None:
    install("audit-log", GOOD)
    report = the_report("audit-log")
    assert json.dumps([report.name, report.hooks, report.seconds])


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
