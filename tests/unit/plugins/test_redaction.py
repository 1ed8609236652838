"""What may be shown of a message: all plugins have a say, and one that fails hides everything."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from core_messaging.errors import PluginError
from core_messaging.plugins import redaction as module
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.plugins.redaction import HIDDEN, installed_redaction, redaction
from core_messaging.settings import Settings

SECRET = b"secret"


def test_without_plugins_everything_is_shown() -> None:
    assert redaction([])("t", b"k", SECRET) == (b"k", SECRET)


def test_each_plugin_gets_what_the_one_before_it_has_left() -> None:
    first = ("first", lambda _topic, key, value: (key, value.replace(b"secret", b"***")))
    second = ("second", lambda topic, key, value: (None, value + topic.encode()))
    assert redaction([first, second])("t", b"k", SECRET) == (None, b"***t")


def fails(_topic: str, _key: Any, value: Any) -> Any:
    raise SystemExit(value)


@pytest.mark.parametrize(
    "function",
    [fails, lambda *_: None, lambda *_: b"x", lambda *_: (b"k", "text"), lambda *_: (b"k", b"v", b"w")],
)
def test_a_plugin_that_fails_hides_the_key_and_the_value_and_its_error_says_no_secret(
    function: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    # A traceback, or the text of the error, may hold what was to be hidden.
    with caplog.at_level(logging.ERROR):
        assert redaction([("careless", function)])("t", b"k", SECRET) == (HIDDEN, HIDDEN)
    assert "careless" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("state", ["broken", "incompatible"])
def test_a_plugin_that_cannot_be_had_may_be_the_one_that_hides(
    state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = PluginReport("hides", "hides 1.0", state=state, cause="ImportError: no")
    monkeypatch.setattr(module, "load", lambda settings: Plugins([lost], settings))
    with pytest.raises(PluginError, match="CORE_PLUGINS_DISABLE=hides"):
        installed_redaction(Settings())
