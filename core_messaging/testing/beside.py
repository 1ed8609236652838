"""A plugin beside a worker, on a broker in memory and a virtual clock."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core_messaging.testing.outcome import Outcome
from core_messaging.testing.workbench import Message, run


def run_with(plugin: Any, worker: object, messages: Iterable[Message]) -> Outcome:
    """Let *worker* work off *messages* with *plugin* (a module or an object) loaded; what happened.

    ``outcome.calls`` are the hooks that were called, with what they were told and raised. ``configure`` is not
    called; do so yourself. Raises PluginError where a hook is wrong, and NotFinished where a message never is.
    """
    return run(worker, messages, plugins=[plugin])
