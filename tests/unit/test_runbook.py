"""The runbook has an entry for every line that the log can have at ERROR."""

from __future__ import annotations

import ast
import re

from tests.environments import ROOT
from tests.unit.test_glossary import SOURCES, actions_of, log_actions

RUNBOOK = (ROOT / "docs/how-to/runbook.md").read_text(encoding="utf-8")


def is_error(call: ast.Call) -> bool:
    """Whether *call* writes, or may write, a line at ERROR."""
    if not isinstance(call.func, ast.Attribute) or not re.search(
        r"log", ast.unparse(call.func.value), re.IGNORECASE
    ):
        return False
    level = ast.unparse(call.args[0]) if call.args else ""
    return call.func.attr in ("error", "raised", "exception", "critical") or (
        call.func.attr == "log" and not re.fullmatch(r"logging\.(DEBUG|INFO|WARNING)", level)
    )


def error_actions() -> set[str]:
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and is_error(node):
                actions = actions_of(ast.Expression(node))
                found |= {str(each.value) for each in actions if isinstance(each, ast.Constant)}
    return found


def test_every_error_has_an_entry_and_every_entry_is_an_action() -> None:
    headings = re.findall(r"^### (.+)$", RUNBOOK, re.MULTILINE)
    entries = {name for heading in headings for name in re.findall(r"`([^`]+)`", heading)}
    assert error_actions() - entries == set()
    assert entries - log_actions() == set()


def test_every_entry_says_what_happened_what_becomes_of_the_data_and_what_to_do() -> None:
    for entry in RUNBOOK.split("\n### ")[1:]:
        heading, _, text = entry.partition("\n")
        for part in ("**What happened.**", "**Data.**", "**Do.**"):
            assert part in text, f"{heading} has no {part}"
