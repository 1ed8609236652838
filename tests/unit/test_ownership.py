"""Who writes what: an object's attributes are written by its own class, and no class of the engine has too many of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.unit.test_structure import ROOT, modules

MOST = 12  # attributes of one class
# Records of plain values in ``rules`` and ``engine`` that have more: each is filled once, and nothing in it acts.
VALUE_RECORDS = {
    "Components": "what the parts of one running worker share",
    "Facts": "what the condition of a worker is judged by",
    "Row": "what the live view shows of one worker in all its processes",
    "WorkerState": "what a process says of one worker in the state topic",
}

# Attributes that any code may write, by their name.
SET_BY_ANYBODY = {
    "__cause__": "Python's own way to say why an error was raised",
    "__traceback__": "Python's own way to let go of the frames of an error",
    "carry": "a part of the public API: whoever wraps a handler sets it",
}
FOREIGN = "an object of the standard library or of another project, which is set like this"
COUNTS = "a record of numbers; a call for each message would cost more than the number"
FILLED = "a record that is filled by the module that makes it"
FAULTS = "what a test lets go wrong"
# Objects whose attributes others write: the folder that does, and the last name before the attribute.
EXCEPTIONS = {
    ("core_messaging/concurrency/fork_safety.py", "mask"): FILLED,
    (
        "core_messaging/discovery/catalog.py",
        "worker",
    ): "the class of a user; what is found out of it is kept there",
    ("core_messaging/engine/", "_counters"): COUNTS,
    ("core_messaging/engine/", "counters"): COUNTS,
    (
        "core_messaging/engine/handler.py",
        "context",
    ): "a part of the public API: it is set when the handler begins",
    ("core_messaging/kafka/", "coordinator"): FOREIGN,
    ("core_messaging/kafka/group_coordinator.py", "assignment"): FOREIGN,
    ("core_messaging/kafka/group_coordinator.py", "consumer"): FOREIGN,
    ("core_messaging/kafka/group_coordinator.py", "subscription"): FOREIGN,
    ("core_messaging/kafka/group_coordinator.py", "_conns"): FOREIGN,
    ("core_messaging/kafka/pattern_subscription.py", "subscription"): FOREIGN,
    ("core_messaging/kafka/client_config.py", "context"): FOREIGN,
    ("core_messaging/kafka/", "_fetcher"): FOREIGN,
    ("core_messaging/kafka/fetch_buffer.py", "parser"): FOREIGN,
    ("core_messaging/kafka/producer_pool.py", "current"): "a producer, whose users are counted by the pool",
    ("core_messaging/logs/error_frames.py", "each"): FOREIGN,
    ("core_messaging/memory_broker/broker.py", "_faults"): FAULTS,
    ("core_messaging/memory_broker/log.py", "topic"): FILLED,
    ("core_messaging/operations/replays.py", "outcome"): FILLED,
    ("core_messaging/plugins/", "call"): FILLED,
    ("core_messaging/plugins/", "each"): FILLED,
    ("core_messaging/plugins/", "implementation"): COUNTS,
    ("core_messaging/plugins/", "current"): FILLED,
    ("core_messaging/plugins/", "report"): FILLED,
    ("core_messaging/rules/letter_groups.py", "group"): FILLED,
    ("core_messaging/runtime/", "logging"): FOREIGN,
    ("core_messaging/runtime/", "logger"): FOREIGN,
    ("core_messaging/runtime/", "record"): FOREIGN,
    ("core_messaging/runtime/", "sys"): FOREIGN,
    ("core_messaging/runtime/", "threading"): FOREIGN,
    ("core_messaging/runtime/", "timer"): FOREIGN,
    ("core_messaging/runtime/", "warnings"): FOREIGN,
    ("core_messaging/testing/", "broker"): FAULTS,
    ("core_messaging/testing/", "call"): FILLED,
    ("core_messaging/testing/", "history"): "the history of one simulation, and the promises that it breaks",
    ("core_messaging/testing/", "stand_in"): FOREIGN,
    ("core_messaging/testing/", "task"): FOREIGN,
    ("core_messaging/testing/", "trouble"): FAULTS,
    ("core_messaging/worker.py", "twin"): FILLED,
    ("cli/core_messaging_cli/", "parser"): FOREIGN,
    ("cli/core_messaging_cli/", "report"): FILLED,
    ("cli/core_messaging_cli/", "sys"): FOREIGN,
    ("cli/core_messaging_cli/", "tally"): FILLED,
    ("cli/core_messaging_cli/", "watched"): FOREIGN,
    ("cli/core_messaging_cli/standard_streams.py", "_Watched"): "what all streams of one program share",
}


def writes(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Each attribute that is assigned or deleted and does not belong to ``self`` or ``cls``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            owner = node.value
            if not (isinstance(owner, ast.Name) and owner.id in ("self", "cls")):
                yield node


def owner_of(written: ast.Attribute) -> str:
    """The last name before the attribute: ``b`` of ``a.b.attribute``."""
    owner = written.value
    while isinstance(owner, ast.Subscript):
        owner = owner.value
    return owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""


def all_writes() -> Iterator[tuple[str, ast.Attribute]]:
    for path in modules():
        for written in writes(ast.parse(path.read_text(encoding="utf-8"))):
            yield str(path.relative_to(ROOT)), written


def exceptions_for(path: str, written: ast.Attribute) -> set[tuple[str, str]]:
    owner = owner_of(written)
    return {(folder, name) for folder, name in EXCEPTIONS if name == owner and path.startswith(folder)}


def test_an_attribute_is_written_by_its_own_class_only() -> None:
    # One object of the rules was written from nine files, and nobody could say what it was at a moment.
    foreign = [
        f"{path}:{written.lineno} {ast.unparse(written)}"
        for path, written in all_writes()
        if written.attr not in SET_BY_ANYBODY and not exceptions_for(path, written)
    ]
    assert foreign == []


def test_each_exception_is_still_needed() -> None:
    found = list(all_writes())
    needed = {each for path, written in found for each in exceptions_for(path, written)}
    assert set(EXCEPTIONS) - needed == set()
    assert set(SET_BY_ANYBODY) <= {written.attr for _, written in found}


def test_the_check_finds_a_write_from_outside() -> None:
    tree = ast.parse("self.a = 1\nself.b.c = 2\njob.d += 3\nfor x.e in y: pass\ndel z.f")
    assert [ast.unparse(each) for each in writes(tree)] == ["self.b.c", "job.d", "x.e", "z.f"]


def attributes_of(class_: ast.ClassDef) -> set[str]:
    names = {
        node.attr
        for node in ast.walk(class_)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    fields = (node.target for node in class_.body if isinstance(node, ast.AnnAssign))
    return names | {field.id for field in fields if isinstance(field, ast.Name)}


def classes() -> Iterator[ast.ClassDef]:
    for path in modules():
        if path.parent.name in ("rules", "engine"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            yield from (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def test_no_class_of_the_rules_or_the_engine_has_more_than_twelve_attributes() -> None:
    counts = {each.name: len(attributes_of(each)) for each in classes()}
    large = {name for name, count in counts.items() if count > MOST}
    assert large == set(VALUE_RECORDS)


def test_no_type_is_claimed_that_the_checker_cannot_see() -> None:
    # A cast says "believe me". Both schedules were cast to what the caller hoped for.
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in modules()}
    imports = [
        (str(path.relative_to(ROOT)), node.lineno)
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "typing"
        if any(alias.name == "cast" for alias in node.names)
    ]
    assert imports == []
