"""The glossary, the docs, the metrics, the log and the options use one word for one thing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest
from core_messaging_cli.main import core
from core_messaging_plugins import opentelemetry_metrics
from core_messaging_plugins.prometheus_page import page

from core_messaging.config import OPTIONS
from core_messaging.rules.retry import RetryPolicy
from core_messaging.settings import Settings
from core_messaging.snapshot import COUNTERS, Condition, Snapshot
from tests.environments import ROOT

GLOSSARY = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
TERMS, _, REST = GLOSSARY.partition("\n## Metrics\n")
METRICS, _, ACTIONS = REST.partition("\n## Log actions\n")
SOURCES = [
    path
    for folder in ("core_messaging", "cli", "dashboard", "plugins")
    for path in (ROOT / folder).rglob("*.py")
    if "templates" not in path.parts
]
LEVELS = {"debug", "info", "warning", "error", "log", "raised"}

# Where an action is made of something else, and what it can be.
MADE = {
    "done": {"paused", "resumed"},
    "job.verb": {"replay", "drop"},
    "self.verb": {"replay", "drop"},
    "f'{name} failed'": {"on_success failed", "on_error failed", "on_undecodable failed"},
    "condition": {condition.value for condition in Condition},
    "action": set(),  # a parameter: its callers give the action
}

# Words that this project once had for something that has a name. "Of strangers": of others.
PRIVATE = (
    "bury|buried|doorway|telling|roster|portrait|strangers?|limbo|parked|convict(?:ed|s)?|accus\\w+|condemn\\w*|"
    "vanished|holes?|standings?|unsaid|spared|stranded|crowded"
)


def first_cells(table: str) -> list[str]:
    return [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| ")]


def codes(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


def is_worker_log(call: ast.Call) -> bool:
    """``self._log.warning("action", ...)``, the helper of the engine. ``logger`` is of the standard library."""
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr in LEVELS
        and re.search(r"log$|^WorkerLog\(", ast.unparse(function.value)) is not None
    )


def actions_of(tree: ast.AST) -> Iterator[ast.expr]:
    """The expressions that become the ``action`` of a log line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            yield from (
                value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and key.value == "action"
            )
        elif isinstance(node, ast.Call):
            if is_worker_log(node):
                yield node.args[1 if ast.unparse(node.func).endswith(".log") else 0]
            yield from (keyword.value for keyword in node.keywords if keyword.arg == "action")
            if ast.unparse(node.func).endswith(("._tag", "._warn_full")):
                yield node.args[0]


def log_actions() -> set[str]:
    found: set[str] = set()
    for path in SOURCES:
        for value in actions_of(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(value, ast.Constant):
                found.add(str(value.value))
            else:
                assert ast.unparse(value) in MADE, (
                    f"{path.relative_to(ROOT)}:{value.lineno}: {ast.unparse(value)}"
                )
                found |= MADE[ast.unparse(value)]
    return found


def test_every_log_action_is_in_the_table_and_no_other() -> None:
    listed = {name for cell in first_cells(ACTIONS) for name in codes(cell)}
    found = log_actions()
    assert found - listed == set()
    assert listed - found == set()


def prometheus_metrics() -> set[str]:
    text = page(Snapshot(0.0, ())).body.decode()
    return set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))


def opentelemetry_names() -> set[str]:
    source = Path(opentelemetry_metrics.__file__).read_text(encoding="utf-8")
    counted = {*COUNTERS, *opentelemetry_metrics.GAUGES}
    return {f"core.{name}" for name in counted} | set(
        re.findall(r'"((?:messaging\.(?:client|process)|core)\.[a-z_.]+)"', source)
    )


def test_every_metric_is_in_the_table_and_no_other() -> None:
    listed = {
        name
        for row in METRICS.splitlines()
        if row.startswith("| ")
        for name in codes(row.rpartition(" | ")[0])
    }
    assert {name for name in listed if name.startswith("core_")} == prometheus_metrics()
    assert {name for name in listed if not name.startswith("core_")} == opentelemetry_names()


def rows() -> list[tuple[str, str, str]]:
    found = []
    for line in TERMS.splitlines():
        if line.startswith("| ") and not line.startswith("| term "):
            term, meaning, belongs = (cell.strip() for cell in line.strip("|").split(" | "))
            found.append((term, meaning, belongs.strip("| ")))
    return found


def test_each_term_has_one_row_with_one_or_two_sentences() -> None:
    terms = [term for term, _, _ in rows()]
    assert len(terms) == len(set(terms)) > 50
    for term, meaning, _ in rows():
        assert meaning.endswith("."), term
        assert meaning.count(". ") <= 1, term


def test_what_a_term_belongs_to_is_there() -> None:
    metrics, actions = prometheus_metrics(), log_actions()
    policy = {f"RetryPolicy.{each.name}" for each in fields(RetryPolicy)}
    options = {*OPTIONS, *Settings.model_fields, *policy}
    known = {"metric": metrics, "action": actions, "": options}
    for term, _, belongs in rows():
        for part in belongs.split(";"):
            kind = next((kind for kind in known if kind and part.strip().startswith(kind)), "")
            for name in codes(part):
                assert name in known[kind], f"{term}: {kind} {name}"


def test_every_option_and_setting_is_in_the_docs_that_the_glossary_links() -> None:
    readme, operating = (ROOT / "README.md").read_text(), (ROOT / "docs/operating.md").read_text()
    assert "README.md#options" in GLOSSARY
    assert "operating.md#settings" in GLOSSARY
    named = codes(readme) | codes(operating) | codes(GLOSSARY)
    assert {name for name in {*OPTIONS, *Settings.model_fields} if name not in named} == {"name"} & {*OPTIONS}


def pages() -> list[Path]:
    docs = [path for path in (ROOT / "docs").rglob("*.md") if "generated" not in path.parts]
    return sorted([*docs, ROOT / "README.md", ROOT / "CONTRIBUTING.md"])


def private_words(text: str) -> list[str]:
    prose = re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return re.findall(rf"\b(?:{PRIVATE})\b", prose, re.IGNORECASE)


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_no_page_has_a_private_word(path: Path) -> None:
    assert private_words(path.read_text(encoding="utf-8")) == []


def help_texts(command: click.Command) -> Iterator[str]:
    yield command.help or ""
    for parameter in command.params:
        yield getattr(parameter, "help", None) or ""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from help_texts(below)


def test_no_help_text_has_a_private_word() -> None:
    assert [text for text in help_texts(core) if private_words(text)] == []


def texts_for_people(tree: ast.AST) -> Iterator[str]:
    """The texts of log lines, and those of errors."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name.rpartition(".")[2] in LEVELS or name.endswith((".__init__", "Error", "echo", "say")):
            for inside in ast.walk(node):
                if isinstance(inside, ast.Constant) and isinstance(inside.value, str) and " " in inside.value:
                    yield inside.value


def test_no_log_line_and_no_error_has_a_private_word() -> None:
    found = [
        (str(path.relative_to(ROOT)), text)
        for path in SOURCES
        for text in texts_for_people(ast.parse(path.read_text(encoding="utf-8")))
        if private_words(text)
    ]
    assert found == []
