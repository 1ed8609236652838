"""The changelog says where each import is now, and what it says is true."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from tests.environments import ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`core.*?`) \| (kept|moved) \| ?(`.*?`)? ?\|$", CHANGELOG, re.MULTILINE)
KEPT = [name for names, verb, _ in ROWS if verb == "kept" for name in re.findall(r"`(.*?)`", names)]
MOVED = {name.strip("`"): now.strip("`") for name, verb, now in ROWS if verb == "moved"}

# What README and docs named before the modules moved.
NAMED_BEFORE = {
    "core.messaging.Worker",
    "core.messaging.worker",
    "core.settings.Settings",
    "core_messaging.Codec",
    "core_messaging.Context",
    "core_messaging.PartialBatchError",
    "core_messaging.Reject",
    "core_messaging.RetryAfter",
    "core_messaging.RetryPolicy",
    "core_messaging.Settings",
    "core_messaging.Worker",
    "core_messaging.broker.Broker",
    "core_messaging.brokers.memory.MemoryBroker",
    "core_messaging.event_loop.new_event_loop",
    "core_messaging.get_blocking_producer",
    "core_messaging.get_producer",
    "core_messaging.hookimpl",
    "core_messaging.plugins.PluginUnavailable",
    "core_messaging.records.Outgoing",
    "core_messaging.run_all_workers",
    "core_messaging.run_worker",
    "core_messaging.runtime.RunOptions",
    "core_messaging.runtime.run_workers",
    "core_messaging.settings.Settings",
    "core_messaging.testing.Fault",
    "core_messaging.testing.MemoryBroker",
    "core_messaging.testing.ProcessDied",
    "core_messaging.testing.process_all",
    "core_messaging.testing.run",
    "core_messaging.testing.run_virtually",
    "core_messaging.testing.run_with",
    "core_messaging.testing.running",
    "core_messaging.testing.simulate",
    "core_messaging.testing.simulate_many",
    "core_messaging.worker",
}


def the_object(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def test_every_import_that_the_docs_named_before_the_move_is_listed() -> None:
    assert NAMED_BEFORE - {*KEPT, *MOVED} == set()


@pytest.mark.parametrize("path", KEPT)
def test_an_import_that_is_listed_as_kept_works(path: str) -> None:
    assert the_object(path) is not None


@pytest.mark.parametrize("path", MOVED)
def test_an_import_that_is_listed_as_moved_is_where_the_list_says(path: str) -> None:
    now = the_object(MOVED[path])
    assert getattr(now, "__name__", path.rpartition(".")[2]) == path.rpartition(".")[2]
    with pytest.raises((ImportError, AttributeError)):
        the_object(path)


def test_entries_are_short_and_stand_under_added_changed_or_fixed() -> None:
    release = CHANGELOG.partition("\n## ")[2].partition("\n## ")[0]
    assert re.findall(r"^### (.*)$", release, re.MULTILINE) == ["Imports", "Added", "Changed", "Fixed"]
    entries = re.findall(r"^- (.*(?:\n  .*)*)", release, re.MULTILINE)
    assert len(entries) > 100
    assert [entry for entry in entries if len(entry) > 240] == []
