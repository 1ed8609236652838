"""Brokers, codecs and commands by name: found where they are asked for, contested ones named with both owners."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from click.testing import CliRunner
from core_messaging_cli.main import core

from core_messaging.errors import (
    BrokenWorker,
    NotRegistered,
    PluginError,
    RegisteredTwice,
)
from core_messaging.plugins.factories import broker_of
from core_messaging.plugins.manager import find, load
from core_messaging.plugins.registrations import Registrations
from tests.unit.plugins.conftest import Install
from tests.unit.plugins.hexed_worker import of_codec
from tests.unit.plugins.plugin_sources import ACME, BROKER, CODEC, HEAD, SETTINGS

COMMAND = """
import click
from core_messaging import hookimpl
@hookimpl
def register_commands():
    return {"audit": click.Command("audit", callback=lambda: click.echo("audited"))}
"""
WATCHING = "@hookimpl\ndef on_start(): ...\n"


def state_of(name: str) -> tuple[str, str]:
    (report,) = [report for report in find(SETTINGS) if report.name == name]
    return report.state, report.cause


def test_kafka_needs_no_plugin_and_nobody_may_take_its_name(install: Install) -> None:
    install("acme-broker", BROKER.replace("'acme'", "'kafka'"))
    assert broker_of(SETTINGS, load(SETTINGS).registrations()).address == SETTINGS.kafka_bootstrap_servers
    assert state_of("acme-broker") == (
        "broken",
        "PluginError: register_brokers: the broker 'kafka' is built in; register yours under another name",
    )


def test_a_broker_that_nobody_registers_is_told_with_the_nearest_and_with_what_is_broken(
    install: Install,
) -> None:
    install("acme-broker", BROKER.replace("'acme'", "'acmee'"))
    install("other-broker", HEAD + "def register_brokers(): return 1 / 0\n")
    with pytest.raises(
        NotRegistered, match=r"no broker 'acme': did you mean 'acmee'\?; broken: other-broker \(oth.*Zero"
    ):
        broker_of(ACME)
    with pytest.raises(NotRegistered, match="no plugin registers a broker"):
        broker_of(ACME, Registrations())


@pytest.mark.parametrize(
    ("source", "ask"), [(BROKER, lambda: broker_of(ACME)), (CODEC, of_codec)], ids=["broker", "codec"]
)
def test_a_name_that_two_plugins_register_is_nobodys_and_both_are_named(
    install: Install, monkeypatch: pytest.MonkeyPatch, source: str, ask: Callable[[], object]
) -> None:
    install("first", source + WATCHING)
    install("second", source)
    both = r"registered by first \(first 1.0\) and second \(second 1.0\); disable one"
    with pytest.raises((RegisteredTwice, BrokenWorker), match=both):
        ask()
    state, cause = state_of("first")
    assert (state, "also registered by second (second 1.0)" in cause) == ("conflict", True)
    assert load(SETTINGS).observers().on_start is not None  # what is not contested is used
    monkeypatch.setenv("CORE_PLUGINS_DISABLE", "second")
    assert state_of("first") == ("ok", "")
    assert ask()


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("def register_codecs(): raise SystemExit(3)", "SystemExit: 3"),
        ("def register_codecs(): return ['acme']", "register_codecs returned ['acme']; return a dict of names"),
        ("def register_codecs(): return {'acme': 7}", "'acme' is 7; give a core_messaging.Codec"),
        ("async def register_codecs(): return {}", "register_codecs must be a plain def"),
        ("def register_brokers(): return {'acme': 7}", "'acme' is 7; give a function of the settings"),
        ("def register_brokers(): return None", "register_brokers returned None; return a dict of names"),
        ("async def decode(data, kind): ...\n@hookimpl\ndef register_codecs(): return {'a': Codec(decode, bytes)}", "decoding and encoding are plain def"),
    ],
)  # fmt: skip
def test_a_broken_registration_is_told_and_the_healthy_ones_work(
    install: Install, body: str, cause: str
) -> None:
    install("bad", HEAD.replace("@hookimpl\n", "") + body if "decode" in body else HEAD + body)
    install("good", CODEC)
    state, told = state_of("bad")
    assert (state, cause in told) == ("broken", True), told
    assert state_of("good") == ("ok", "")
    assert of_codec()


def run_core(*arguments: str) -> str:
    result = CliRunner().invoke(core, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


COMMAND_WITH_OPTION = """
import click
from core_messaging import hookimpl

@click.group()
def audit(): ...

@audit.command()
@click.option("--since")
def deep(since): ...

@hookimpl
def register_commands():
    return {"audit": audit}
"""


def test_a_command_is_listed_without_importing_its_plugin_and_runs(install: Install) -> None:
    install("acme-audit", COMMAND, commands={"audit": "acme_audit"})
    install("slow", "raise RuntimeError('must not even be imported')", commands={"slow": "slow"})
    listed = run_core("--help")
    assert re.search(r"^ +audit +From acme-audit 1\.0\.$", listed, re.MULTILINE)
    assert re.search(r"^ +slow +From slow 1\.0\.$", listed, re.MULTILINE)
    assert run_core("audit") == "audited\n"


def test_an_option_of_a_plugins_command_drops_no_value_in_silence(install: Install) -> None:
    install("acme-audit", COMMAND_WITH_OPTION, commands={"audit": "acme_audit"})
    found = CliRunner().invoke(core, ["audit", "deep", "--since", "1", "--since", "2"])
    assert found.exit_code == 2
    assert "--since: given 2 times" in found.output


def test_a_built_in_command_stays_what_it_is_and_the_package_is_named(install: Install) -> None:
    install("acme-audit", COMMAND.replace("audit", "plugins"), commands={"plugins": "acme_audit"})
    assert re.search(r"^ +plugins +Not offered: acme-audit 1\.0 would hide", run_core("--help"), re.MULTILINE)
    assert "conflict: `core plugins` is built in; its author has to rename it" in unfolded(
        run_core("plugins")
    )


def unfolded(text: str) -> str:
    return " ".join(text.split())


def test_a_command_of_two_plugins_is_nobodys_until_one_is_disabled(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("first", COMMAND, commands={"audit": "first"})
    install("second", COMMAND, commands={"audit": "second"})
    assert "Contested by first 1.0 and second 1.0: disable one." in run_core("--help")
    with pytest.raises(
        RegisteredTwice, match=r"the command 'audit' is registered by first 1.0 and second 1.0"
    ):
        run_core("audit")
    assert "the command 'audit' is also registered by second 1.0" in unfolded(run_core("plugins", "--json"))
    monkeypatch.setenv("CORE_PLUGINS_DISABLE", "first")
    assert run_core("audit") == "audited\n"


@pytest.mark.parametrize(
    ("source", "commands", "says"),
    [
        ("import acme_db", {"audit": "acme"}, "belongs to plugin acme (acme 1.0), which is broken: ModuleNotFoundError"),
        (COMMAND, {"audits": "acme"}, "acme 1.0 announces `core audits`, but register_commands returns 'audit'"),
        (COMMAND, {"audit": "elsewhere"}, "by 'elsewhere', which is none of its plugins"),
        (COMMAND.replace("return", "raise SystemExit(4)\n    return"), {"audit": "acme"}, "plugin acme (acme 1.0): register_commands raised SystemExit: 4"),
        (COMMAND.replace("return {", "return {'audit': 7} or {"), {"audit": "acme"}, "'audit' is not a click command"),
    ],
)  # fmt: skip
def test_a_broken_command_is_one_line_that_names_its_package(
    install: Install, source: str, commands: dict[str, str], says: str
) -> None:
    install("acme", source, commands=commands)
    with pytest.raises(PluginError) as raised:
        run_core(*commands)
    assert says in str(raised.value)
    listed = run_core("plugins", "--json")
    assert '"state": "broken"' in listed
    assert "Kafka" in run_core("--help")


def test_a_command_that_is_not_announced_is_told_by_core_plugins(install: Install) -> None:
    install("acme", COMMAND)
    assert (
        "register_commands has 'audit', which the entry points of core.commands do not announce"
        in unfolded(run_core("plugins"))
    )


def test_a_command_of_a_disabled_plugin_says_who_disabled_it(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme", "raise RuntimeError('must not even be imported')", commands={"audit": "acme"})
    monkeypatch.setenv("CORE_PLUGINS_DISABLE", "acme")
    with pytest.raises(PluginError, match="which is disabled: by CORE_PLUGINS_DISABLE"):
        run_core("audit")
