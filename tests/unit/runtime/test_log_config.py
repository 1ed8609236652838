"""``--log-config FILE``: logging is as the file says, and in no other way."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from core_messaging.errors import ConfigurationError
from core_messaging.runtime.log_config import use_log_config

CONFIG = {
    "formatters": {"short": {"format": "%(levelname)s %(name)s %(message)s"}},
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "the.log", "formatter": "short"}},
    "root": {"handlers": ["file"], "level": "WARNING"},
    "loggers": {"aiokafka": {"level": "ERROR"}},
}
IN_TOML = """
[formatters.short]
format = "%(levelname)s %(name)s %(message)s"
[handlers.file]
class = "logging.FileHandler"
filename = "the.log"
formatter = "short"
[root]
handlers = ["file"]
level = "WARNING"
[loggers.aiokafka]
level = "ERROR"
"""


@pytest.fixture(autouse=True)
def new_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """The root logger as a new process has it, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    root, client = logging.getLogger(), logging.getLogger("aiokafka")
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield root
    for mine in root.handlers:
        mine.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    client.setLevel(logging.NOTSET)
    logging.captureWarnings(capture=False)


@pytest.mark.parametrize(("name", "text"), [("log.json", json.dumps(CONFIG)), ("log.toml", IN_TOML)])
def test_handlers_and_levels_are_those_of_the_file_and_no_others(
    name: str, text: str, new_root: logging.Logger
) -> None:
    Path(name).write_text(text)
    ours = logging.getLogger("core_messaging.worker")
    ours.disabled = True  # as an earlier configuration has left it
    use_log_config(Path(name))
    ours.info("too quiet")
    ours.error("heard")
    logging.getLogger("aiokafka.conn").warning("too quiet as well")
    logging.getLogger("of_the_project").warning("heard too")
    assert [type(each) for each in new_root.handlers] == [logging.FileHandler]
    assert Path("the.log").read_text() == (
        "ERROR core_messaging.worker heard\nWARNING of_the_project heard too\n"
    )


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("log.json", "{", "Expecting property name"),
        ("log.json", "[1]", "it holds a list"),
        ("log.toml", "root = ", "Invalid value"),
        (
            "log.json",
            '{"handlers": {"out": {"class": "no.Such"}}}',
            "Unable to configure handler 'out' (Cannot resolve",
        ),
        ("log.json", '{"root": {"handlers": ["none"]}}', "Unable to configure root logger"),
        ("log.json", '{"version": 2}', "Unsupported version: 2"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_the_remedy(name: str, text: str, told: str) -> None:
    Path(name).write_text(text)
    with pytest.raises(ConfigurationError, match=f"logging cannot be configured by {name}: ") as caught:
        use_log_config(Path(name))
    assert told in str(caught.value)
    assert "write a table as logging.config.dictConfig takes it" in str(caught.value)
