"""The structure that CONTRIBUTING and DESIGN promise: rooms, short modules, short functions, a true file map."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("core_messaging", "core", "cli/core_messaging_cli", "plugins/core_messaging_plugins")
USERS_IMPORT = {
    "blocking_producer",
    "broker",
    "codecs",
    "config",
    "context",
    "errors",
    "observers",
    "options",
    "partitioner",
    "producer",
    "records",
    "settings",
    "snapshot",
    "worker",
}
# Each function that the loop of a message were split into would cost one call a message.
MEASURED = "_work_off"
ONE_TREE = "core_messaging/errors.py"  # all errors in one place, so that they are read as one tree


def modules() -> Iterator[Path]:
    for source in SOURCES:
        yield from (path for path in (ROOT / source).rglob("*.py") if "templates" not in path.parts)


def functions() -> Iterator[tuple[str, int]]:
    """Place and length of each function: lines without its decorators and its docstring."""
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                told = (
                    (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(node) is not None else 0
                )
                length = (node.end_lineno or 0) - node.lineno + 1 - told
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", length


def test_the_top_level_holds_nothing_but_what_users_import() -> None:
    found = {path.stem for path in (ROOT / "core_messaging").glob("*.py")} - {"__init__", "__main__"}
    assert found <= USERS_IMPORT
    assert len(found) <= 15


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()
    }
    assert {path: length for path, length in lengths.items() if length > 400 and path != ONE_TREE} == {}


def test_functions_are_short() -> None:
    lengths = dict(functions())
    long = {place for place, length in lengths.items() if length > 40}
    assert {place for place in long if MEASURED not in place} == set()
    assert median(lengths.values()) <= 7
    assert quantiles(lengths.values(), n=10)[-1] <= 16


def test_the_design_names_every_room_and_every_file_that_it_names_is_there() -> None:
    design = (ROOT / "DESIGN.md").read_text(encoding="utf-8")
    rooms = {
        f"core_messaging/{path.name}/"
        for path in (ROOT / "core_messaging").iterdir()
        if (path / "__init__.py").exists()
    }
    assert {room for room in rooms if f"`{room}`" not in design} == set()
    named = set(re.findall(r"`((?:core_messaging/|cli/|plugins/|core/)?[a-z_/]+\.py)`", design))
    assert named
    missing = {
        name for name in named if not any((ROOT / base / name).exists() for base in ("", "core_messaging"))
    }
    assert missing == set()


def test_the_design_is_short_and_says_nothing_twice() -> None:
    lines = (ROOT / "DESIGN.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 350
    reasons = [line for line in lines if line.startswith("- **")]
    assert len(reasons) == len(set(reasons)) > 20


@pytest.mark.parametrize("module", sorted(str(path.relative_to(ROOT)) for path in modules()))
def test_a_module_says_what_it_is_for(module: str) -> None:
    source = (ROOT / module).read_text(encoding="utf-8")
    if source.strip():
        assert ast.get_docstring(ast.parse(source)), module
