"""``core plugins``: every state a plugin can be in, each by an installed distribution; and what it exits with."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from typing import Any

import pytest
from click.testing import CliRunner, Result
from core_messaging_cli.main import core

from core_messaging.observers import tell
from core_messaging.plugins.manager import WRONG, load
from core_messaging.settings import Settings
from tests.environments import ROOT
from tests.unit.plugins.conftest import Install

HEAD = "from core_messaging import Codec, hookimpl\n"
HOOK = "@hookimpl\ndef on_success(): raise ValueError('boom')\n"
CODEC = HEAD + "@hookimpl\ndef register_codecs(): return {'acme': Codec(bytes, bytes)}\n"
UNAVAILABLE = (
    "from core_messaging.plugins import PluginUnavailable\nraise PluginUnavailable('it needs acme-db')"
)

# state -> the distributions that show it, and the cause of the first one.
STATES: dict[str, tuple[dict[str, str], str | None]] = {
    "ok": ({"acme": HEAD + HOOK}, None),
    "disabled": ({"acme": "raise RuntimeError('must not even be imported')"}, "by CORE_PLUGINS_DISABLE"),
    "broken": ({"acme": "import acme_db"}, "ModuleNotFoundError: No module named 'acme_db' (site/acme.py:1)"),
    "conflict": (
        {"acme": CODEC, "other": CODEC},
        "the codec 'acme' is also registered by other (other 1.0); disable one of them",
    ),
    "incompatible": ({"acme": "core_api = '99'"}, "it wants core_api 99, this is 1; upgrade one of the two"),
    "unavailable": ({"acme": UNAVAILABLE}, "it needs acme-db"),
}


def listed(*arguments: str) -> Result:
    return CliRunner().invoke(core, ["plugins", *arguments])


def test_every_state_is_shown_here_and_documented_with_what_the_check_says() -> None:
    text = (ROOT / "docs/plugins.md").read_text()
    documented = dict(re.findall(r"^\| `([a-z ]+)` \| .* \| ?([01]?) ?\|$", text, re.MULTILINE))
    assert documented.keys() == STATES.keys() | {"switched off"}
    assert {state for state, code in documented.items() if code == "1"} | {"switched off"} == set(WRONG)


@pytest.mark.parametrize("state", STATES)
def test_each_state_is_shown_and_only_what_is_wrong_fails_the_check(
    install: Install, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, cause = STATES[state]
    for dist, source in {**sources, "healthy": HEAD + HOOK}.items():
        install(dist, source)
    if state == "disabled":
        monkeypatch.setenv("CORE_PLUGINS_DISABLE", "acme")
    shown = listed("--json", "--check")
    rows = {row["name"]: row for row in json.loads(shown.stdout)}
    assert (rows["acme"]["state"], rows["acme"]["cause"]) == (state, cause)
    assert (rows["healthy"]["state"], rows["healthy"]["cause"]) == ("ok", None)
    assert shown.exit_code == (1 if state in WRONG else 0)
    assert listed("--json").exit_code == 0
    table = " ".join(listed().stdout.split())
    assert f"{state}: {cause}" in table if cause else "ok" in table


def test_switched_off_is_shown_by_the_process_in_which_it_is(install: Install) -> None:
    install("acme", HEAD + HOOK)
    plugins = load(Settings())
    told = plugins.observers().on_success
    assert told is not None
    for _ in range(10):
        asyncio.run(tell(told, worker="W", message=1, result=2, context=None))
    (report,) = plugins.report()
    assert (report.state, report.cause) == ("switched off", "on_success keeps failing")
    assert report.state in WRONG
    (calls,) = plugins.calls()
    assert (calls.plugin, calls.calls, calls.failures, calls.switched_off) == ("acme", 10, 10, True)


def test_a_row_has_distribution_version_file_hooks_and_import_time(install: Install) -> None:
    install("acme-audit", HEAD + HOOK, name="audit")
    (row,) = json.loads(listed("--json").stdout)
    seconds, file = row.pop("import_seconds"), row.pop("file")
    assert row == {
        "name": "audit",
        "from": "acme-audit 1.0",
        "distribution": "acme-audit",
        "version": "1.0",
        "state": "ok",
        "cause": None,
        "hooks": ["on_success"],
        "call_seconds": {},
    }
    assert seconds > 0
    assert file.endswith("acme_audit.py")


SLOW_IMPORT = "import time\ntime.sleep(0.05)\n" + HEAD
SLOW_HOOK = "@hookimpl\ndef register_codecs():\n    time.sleep(0.5)\n    return {}\n"


def test_a_broken_plugin_is_told_with_its_line_and_how_to_run_without_it(install: Install) -> None:
    install("acme", "\n\nimport acme_db\n")
    shown = listed()
    assert re.search(r"ModuleNotFoundError: No module named 'acme_db' \(.*acme\.py:3\)", shown.stdout)
    assert shown.stderr == "to run without: --disable-plugin NAME, or CORE_PLUGINS_DISABLE=acme\n"
    assert listed("--check").exit_code == 1


def test_import_time_and_the_time_of_hooks_are_told_apart(install: Install) -> None:
    install("acme", SLOW_IMPORT + SLOW_HOOK)
    started = time.perf_counter()
    shown = listed("--json", "--trace")
    took = time.perf_counter() - started
    (row,) = json.loads(shown.stdout)
    assert row["call_seconds"]["register_codecs"] >= 0.5
    assert row["import_seconds"] >= 0.05
    assert row["import_seconds"] + row["call_seconds"]["register_codecs"] <= took  # neither is in the other
    assert "plugin acme: register_codecs() took " in shown.stderr
    assert "core kafka worker NAME --trace-plugins" in shown.stderr


TRACED = """
import asyncio
from core_messaging import hookimpl

@hookimpl
def configure(config): ...

@hookimpl
async def serve(snapshot): ...

@hookimpl
async def on_success(result):
    await asyncio.sleep(0.03)

@hookimpl
async def wrap_process(call_next, message, context):
    return await call_next(message, context)
"""


def test_tracing_logs_every_hook_with_the_whole_time_of_async_ones(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("acme", TRACED)
    plugins = load(Settings())

    async def use() -> None:
        observers = plugins.observers()
        assert observers.on_success is not None
        assert observers.wrap_process is not None
        await plugins.serve(lambda: None)  # type: ignore[arg-type, return-value] # nobody asks
        await tell(observers.on_success, worker="W", message=1, result=2, context=None)
        assert await observers.wrap_process(process, "W", 1, None) == 1

    async def process(message: Any, _context: Any) -> Any:
        return message

    with caplog.at_level(logging.INFO):
        plugins.trace()
        asyncio.run(use())
    said = [record.getMessage() for record in caplog.records]
    started = (
        "configure()",
        "serve(snapshot)",
        "on_success(result)",
        "wrap_process(call_next, message, context)",
    )
    for call, line in zip(started, said, strict=True):
        assert line.startswith(f"plugin acme: {call} took ")
    assert float(said[2].split(" took ")[1].split(" ms")[0]) >= 30
