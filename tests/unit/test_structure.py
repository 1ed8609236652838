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


# Modules that hold only types: there is no behaviour to test.
ONLY_TYPES = {
    "engine/components",
    "engine/shared_resources",
    "kafka/member_listeners",
    "plugins/source",
    "plugins/unavailable",
    "rules/assignment_state",
    "rules/remembered_state",
    "rules/schedule",
}
# Modules whose behaviour shows only together with others, and the tests that show it. Prefer a test of their own.
SHOWN_BY = {
    "engine/callbacks": "unit/engine/test_message_logger.py",
    "engine/dead_letters": "unit/engine/test_settlement.py",
    "engine/group_membership": "unit/engine/test_engine.py",
    "engine/handler": "unit/engine/test_handler_threads.py",
    "engine/intake": "unit/engine/test_positioning.py",
    "engine/record_sender": "unit/engine/test_settlement_loop.py",
    "engine/result_publisher": "unit/engine/test_settlement_loop.py",
    "engine/session": "unit/engine/test_fetch_loop.py",
    "engine/success_path": "unit/engine/test_counters.py",
    "engine/worker_dump": "integration/test_commanding_processes.py",
    "engine/worker_tasks": "unit/engine/test_misbehaving_handlers.py",
    "kafka/client_insides": "integration/test_rebalancing.py",
    "kafka/cluster_lookup": "integration/test_core_kafka_lag.py",
    "kafka/dead_members": "integration/test_replacing_the_dead.py",
    "kafka/group_coordinator": "integration/test_rebalancing.py",
    "kafka/offset_writer": "integration/test_core_kafka_reset_offsets.py",
    "kafka/pattern_subscription": "integration/test_reading_topics_by_a_pattern.py",
    "kafka/permissions": "integration/test_replaying_without_permission.py",
    "kafka/positions": "integration/test_resetting_offsets.py",
    "kafka/producer_pool": "integration/test_publishing_refused_records.py",
    "kafka/publisher": "integration/test_publishing_messages.py",
    "kafka/rebootstrap": "integration/test_restarting_on_the_embedded_broker.py",
    "kafka/replay_writer": "integration/test_core_kafka_dlq.py",
    "kafka/topic_admin": "integration/test_core_kafka_topics.py",
    "kafka/topic_creation": "integration/test_core_kafka_topics.py",
    "kafka/topic_follower": "integration/test_pausing_workers.py",
    "kafka/topic_watch": "integration/test_resetting_offsets.py",
    "kafka/topic_reader": "integration/test_core_kafka_dlq.py",
    "runtime/engines": "integration/test_stopping_workers.py",
    "runtime/fleet_member": "integration/test_pausing_workers.py",
    "runtime/process_exit": "integration/test_stopping_workers.py",
    "runtime/retention_watch": "integration/test_pausing_workers.py",
    "runtime/run_options": "integration/test_stopping_workers.py",
    "runtime/runner": "integration/test_stopping_workers.py",
    "runtime/shutdown": "integration/test_stopping_workers.py",
}
MIRRORED = ("discovery", "engine", "kafka", "plugins", "rules", "runtime")


def test_each_module_has_the_test_file_of_its_name() -> None:
    found = {
        f"{package}/{path.stem}"
        for package in MIRRORED
        for path in (ROOT / "core_messaging" / package).glob("*.py")
        if path.stem != "__init__"
    }
    tests = ROOT / "tests"
    mirrored = {
        f"{path.parent.name}/{path.stem.removeprefix('test_')}" for path in tests.glob("unit/*/test_*.py")
    }
    missing = found - mirrored - ONLY_TYPES - SHOWN_BY.keys()
    assert missing == set(), (
        "write tests/unit/<package>/test_<module>.py for each, or name the test that shows it in SHOWN_BY"
    )
    # An exception goes as soon as it is none any more.
    assert (ONLY_TYPES | SHOWN_BY.keys()) & mirrored == set()
    assert {place for place in SHOWN_BY.values() if not (tests / place).exists()} == set()


def test_the_pages_name_tests_that_there_are() -> None:
    texts = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "Makefile")
        # The changelog tells of the past, and a tutorial of tests that its reader writes.
        if path.name != "CHANGELOG.md" and path.parent.name != "tutorial"
    }
    named = {
        (page, name, function)
        for page, text in texts.items()
        for name, function in re.findall(r"([\w/]*test_\w+\.py)(?:::(test_\w+))?", text)
    }
    assert named
    assert {each for each in named if not _is_there(*each[1:])} == set()


def _is_there(name: str, function: str) -> bool:
    """*name* is written as in the docs: from the root, or as it is called in tests/unit or tests/integration."""
    bases = ("", "tests", "tests/unit", "tests/integration")
    files = [ROOT / base / name for base in bases if (ROOT / base / name).is_file()]
    return any(f"def {function}" in file.read_text(encoding="utf-8") for file in files)
