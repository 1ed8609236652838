"""The log of ``core kafka worker`` at a terminal, beside a project's own logging, and for programs."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.environments import ROOT
from tests.integration.brokers import RunningBroker
from tests.integration.commands import core, running_core
from tests.integration.test_core_kafka_start import at_a_terminal

WORKER = """
from core.messaging import worker

@worker(topic="{topic}")
async def greet(message: dict) -> None: ...
"""
NOBODY = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_START_TIMEOUT": "1.5"}


def project(folder: Path, topic: str = "t", settings: str = "") -> Path:
    (folder / "src/workers").mkdir(parents=True)
    (folder / "src/workers/greet.py").write_text(WORKER.format(topic=topic))
    if settings:
        (folder / "src/settings.py").write_text(settings)
    return folder


def test_at_a_terminal_a_line_says_its_level_once_and_which_logger_wrote_it(tmp_path: Path) -> None:
    code, shown = at_a_terminal("kafka", "worker", "greet", folder=project(tmp_path), env=NOBODY)
    assert code == 1
    (line,) = [each for each in shown.splitlines() if "waiting up to" in each]
    plain = re.sub(r"\x1b\[\d+m", "", line)
    assert re.match(r"\d\d:\d\d:\d\d WARNING core_messaging\.kafka: no Kafka broker answers", plain)
    assert plain.count("WARNING") == 1


def test_without_colours_where_nobody_wants_them(tmp_path: Path) -> None:
    env = {**NOBODY, "NO_COLOR": "1"}
    _, shown = at_a_terminal("kafka", "worker", "greet", folder=project(tmp_path), env=env)
    assert "waiting up to" in shown
    assert "\x1b" not in shown


OF_THE_PROJECT = """
import logging
import logging.config
from core_messaging.settings import Settings

class AppSettings(Settings):
    shop: str = "shop"
"""
SET_UP = {
    "basicConfig": "logging.basicConfig(level=logging.INFO, format='MINE %(message)s')",
    "dictConfig": """logging.config.dictConfig({
        "version": 1,
        "formatters": {"mine": {"format": "MINE %(message)s"}},
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "mine"}},
        "root": {"handlers": ["out"], "level": "INFO"},
    })""",
}


@pytest.mark.parametrize("how", SET_UP)
def test_logging_that_the_project_has_set_up_stays(how: str, broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic(1)
    folder = project(tmp_path, topic, OF_THE_PROJECT + SET_UP[how])
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    with running_core("kafka", "worker", "greet", folder=folder, env=env) as worker:
        worker.until_said(f"MINE greet has {topic}[0]")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    assert len([line for line in worker.lines if f"greet has {topic}" in line]) == 1


def test_a_file_that_the_project_logs_to_gets_the_lines_that_the_terminal_gets(tmp_path: Path) -> None:
    own = OF_THE_PROJECT + "logging.getLogger().addHandler(logging.FileHandler('own.log'))"
    found = core("kafka", "worker", "greet", folder=project(tmp_path, settings=own), env=NOBODY)
    assert "WARNING core_messaging.kafka: no Kafka broker answers" in found.stderr
    assert "no Kafka broker answers" in (tmp_path / "own.log").read_text()


def test_debug_is_ours_and_the_clients_lines_are_asked_for_apart(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic(1)
    folder, env = project(tmp_path, topic), {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    for levels, is_there in ((("--log-level", "debug"), False), (("--client-log-level", "debug"), True)):
        with running_core("kafka", "worker", "greet", *levels, folder=folder, env=env) as worker:
            worker.until_said(f"greet has {topic}[0]")
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0
        assert any(" DEBUG   aiokafka" in line for line in worker.lines) == is_there


WRONG = {
    "settings": ("greet", {"KAFKA_LINGER": "soon"}),
    "disabled": ("greet", {"KAFKA_ENABLED": "false"}),
    "no broker": ("greet", NOBODY),
    "no such worker": ("Nobody", {}),
    "no such option": ("greet --concurrencies 3", {}),
    "a wrong value": ("greet --concurrency none", {}),
    "no worker named": ("", {}),
}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("wrong", WRONG)
def test_whatever_is_wrong_is_json_where_json_was_asked_for(wrong: str, place: str, tmp_path: Path) -> None:
    words, env = WRONG[wrong]
    wish = ("--log-format=json",) if place == "before" else ("--log-format", "json")
    arguments = (*wish, *words.split()) if place == "before" else (*words.split(), *wish)
    found = core("kafka", "worker", *arguments, folder=project(tmp_path), env=env)
    assert found.returncode in {1, 2}
    lines = [json.loads(line) for line in found.stderr.splitlines()]
    assert (lines[-1]["level"], lines[-1]["action"]) == ("error", "ended")
    assert lines[-1]["message"]


def test_what_python_prints_by_itself_is_json_too(tmp_path: Path) -> None:
    own = "import threading, warnings\nwarnings.warn('old', UserWarning)\n" + OF_THE_PROJECT
    own += "\nthread = threading.Thread(target=lambda: 1 / 0)\nthread.start()\nthread.join()\n"
    folder = project(tmp_path, settings=own)
    found = core("kafka", "worker", "greet", "--log-format", "json", folder=folder, env=NOBODY)
    lines = [json.loads(line) for line in found.stderr.splitlines()]
    assert any("UserWarning: old" in line["message"] for line in lines)
    (dead,) = [line for line in lines if line.get("action") == "uncaught"]
    assert "ZeroDivisionError" in dead["traceback"]


def test_a_log_config_wins_over_the_projects_logging_and_nothing_is_added(tmp_path: Path) -> None:
    folder = project(tmp_path, settings=OF_THE_PROJECT + SET_UP["basicConfig"])
    (folder / "log.toml").write_text(
        '[formatters.json]\n"()" = "core_messaging.runtime.logging.JsonLines"\n'
        '[handlers.err]\nclass = "logging.StreamHandler"\nformatter = "json"\n'
        '[root]\nhandlers = ["err"]\nlevel = "INFO"\n'
    )
    ended = core("kafka", "worker", "greet", "--log-config", "log.toml", folder=folder, env=NOBODY)
    assert ended.returncode == 1
    *lines, last = ended.stderr.splitlines()
    assert [json.loads(line)["level"] for line in lines] == ["warning"]
    assert last.startswith("core: no Kafka broker answers")


def test_a_log_config_goes_with_no_other_option_of_logging(tmp_path: Path) -> None:
    (tmp_path / "log.toml").write_text("")
    words = ["kafka", "worker", "greet", "--log-config", "log.toml", "--log-level", "debug"]
    refused = core(*words, folder=tmp_path)
    assert refused.returncode == 2
    assert "leave out --log-level, --client-log-level and --log-format" in " ".join(refused.stderr.split())


@pytest.mark.parametrize("place", [0, 1])
def test_the_log_configs_of_the_docs_write_json_with_the_fields_of_an_event(
    place: int, broker: RunningBroker, tmp_path: Path
) -> None:
    text = (ROOT / "docs/operating.md").read_text("utf-8")
    config = re.findall(r"```toml\n(.*?)```", text.partition("`--log-config FILE` leaves")[2], re.DOTALL)[
        place
    ]
    (structured,) = re.findall(r"```python\n(import logging\n.*?)```", text, re.DOTALL)
    topic = broker.make_topic(1)
    folder = project(tmp_path, topic)
    (folder / "src/logs.py").write_text(structured)
    (folder / "log.toml").write_text(config)
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    words = ["kafka", "worker", "greet", "--log-config", "log.toml"]
    with running_core(*words, folder=folder, env=env) as worker:
        worker.until_said(f"greet has {topic}[0]")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    lines = [json.loads(line) for line in worker.lines]
    assigned = next(line for line in lines if "greet has" in line.get("message", line.get("event", "")))
    assert (assigned["worker"], assigned["level"]) == ("greet", "info")
