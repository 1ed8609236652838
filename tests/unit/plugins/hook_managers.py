"""A pluggy manager with the hook implementations that a test gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pluggy

from core_messaging.plugins import hookspecs
from core_messaging.plugins.hookspecs import hookimpl


class Plugin:
    """An object with one hook implementation."""

    def __init__(self, hook: str, function: Callable[..., Any]) -> None:
        setattr(self, hook, hookimpl(function))


def manager(**plugins: tuple[str, Callable[..., Any]]) -> pluggy.PluginManager:
    made = pluggy.PluginManager(hookspecs.PROJECT)
    made.add_hookspecs(hookspecs)
    for name, (hook, function) in plugins.items():
        made.register(Plugin(hook, function), name=name)
    return made
