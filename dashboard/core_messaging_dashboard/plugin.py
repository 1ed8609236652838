"""The plugin that adds ``core dashboard``. Workers that run load it too, so it imports nothing that is large."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

import click

from core_messaging import hookimpl
from core_messaging.plugins import PluginUnavailable

NEEDED = ("jinja2", "starlette", "itsdangerous", "uvicorn")

if any(importlib.util.find_spec(name) is None for name in NEEDED):
    raise PluginUnavailable("it needs a web server: pip install 'core-messaging[dashboard]'")


@hookimpl
def register_commands() -> Mapping[str, click.Command]:
    """Add ``core dashboard``."""
    from core_messaging_dashboard.command import dashboard  # noqa: PLC0415 - only for this command

    return {"dashboard": dashboard}
