"""Logging as the user configures it in a file: ``core kafka worker --log-config logging.json``."""

from __future__ import annotations

import json
import logging.config
import tomllib
from pathlib import Path
from typing import Any

from core_messaging.errors import ConfigurationError, text_of
from core_messaging.runtime.logging import enable_our_loggers


def use_log_config(file: Path) -> None:
    """Configure logging by *file* alone: JSON, or TOML, in the form of ``logging.config.dictConfig``.

    ``version`` and ``disable_existing_loggers`` may be left out: they are 1 and false. Raises ConfigurationError.
    """
    config = {"version": 1, "disable_existing_loggers": False} | _read(file)
    try:
        logging.config.dictConfig(config)
    except (ValueError, TypeError, AttributeError, ImportError) as error:
        raise _refused(file, _cause(error)) from error
    enable_our_loggers()
    logging.captureWarnings(capture=True)


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text("utf-8")
        found = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise _refused(file, text_of(error)) from error
    if not isinstance(found, dict):
        raise _refused(file, f"it holds a {type(found).__name__}")
    return found


def _refused(file: Path, cause: str) -> ConfigurationError:
    return ConfigurationError(
        f"logging cannot be configured by {file}: {cause}; write a table as logging.config.dictConfig takes it, in "
        "JSON or in TOML (*.toml)"
    )


def _cause(error: BaseException) -> str:
    """Return the reason of a wrong configuration: dictConfig names the handler that is wrong, and has the reason as its cause."""
    reason = f" ({text_of(error.__cause__)})" if error.__cause__ is not None else ""
    return f"{text_of(error)}{reason}"
