"""The README's own files and commands, taken from its text and run as they stand."""

from __future__ import annotations

import re
import shlex
import signal
from pathlib import Path

import pytest

from benchmarks.picture import PICTURE, RESULTS, drawn
from core_messaging.local_broker.embedded import EmbeddedBroker
from tests.environments import ROOT, Environment, layer
from tests.integration.commands import core, running_core
from tests.integration.harness import publish
from tests.integration.harness import run as run_async
from tests.packages.readme import README, blocks, section
from tests.packages.shell import commands_of

_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def commands(title: str) -> list[list[str]]:
    """The words of each ``core`` command, without the prompt or a comment."""
    (console,) = blocks(section(title), "console")
    lines = [shlex.split(command.line, comments=True) for command in commands_of(console)]
    return [words[1:] for words in lines if words[0] == "core"]


@pytest.fixture
def shop(tmp_path: Path) -> Environment:
    """An environment with the package of the README, put together from its text."""
    package = tmp_path / "shop-workers"
    package.mkdir()
    (pyproject,) = blocks(section("A package in 30 lines"), "toml")
    (source,) = blocks(section("A package in 30 lines"), "python")
    (package / "pyproject.toml").write_text(pyproject)
    (package / "shop_workers.py").write_text(source)
    environment = layer(tmp_path / "environment")
    environment.install("--editable", str(ROOT))
    environment.install(package)
    return environment


def test_a_package_in_30_lines(shop: Environment, tmp_path: Path) -> None:
    listing, working = commands("A package in 30 lines")
    listed = core(*listing, folder=tmp_path, command=str(shop.core))
    assert re.search(r"ShipOrders +shop-workers 1\.0 +orders", listed.stdout), listed.stdout + listed.stderr
    with EmbeddedBroker() as broker:
        for topic in ("orders", "orders-dlq"):
            broker.create_topic(topic)
        run_async(publish(broker.address, "orders", [b'{"id": 7, "address": "Harbour Road 1"}']))
        here = {"KAFKA_BOOTSTRAP_SERVERS": broker.address, "PYTHONUNBUFFERED": "1"}
        with running_core(*working, folder=tmp_path, env=here, command=str(shop.core)) as worker:
            worker.until_said("attempt 1 for order 7")
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0, worker.output


def test_the_commands_for_a_clone_are_targets_and_stand_near_the_top() -> None:
    (console,) = blocks(section("Two commands"), "console")
    targets = [command.line.split()[:2] for command in commands_of(console)]
    assert targets == [["make", "demo"], ["make", "test"]]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert all(f"\n{target}:" in makefile for _, target in targets)
    assert README.index("## Two commands") < README.index("## Five minutes") < 5000


def test_the_picture_is_what_the_results_say() -> None:
    assert PICTURE.read_text("utf-8") == drawn(RESULTS.read_text("utf-8"))
    assert f"]({PICTURE.relative_to(ROOT)})" in README


def test_one_spelling_of_imports_and_the_other_is_said_once() -> None:
    assert re.findall(r"from core\.messaging|import core\.messaging", README) == ["from core.messaging"]


@pytest.mark.parametrize("page", ["README.md", "docs/comparison.md"])
def test_what_is_linked_in_the_repository_is_there(page: str) -> None:
    linked = _LINK.findall((ROOT / page).read_text("utf-8"))
    local = [target for target in linked if "://" not in target]
    assert local
    assert [target for target in local if not ((ROOT / page).parent / target).exists()] == []


def test_each_project_that_is_compared_has_its_sources() -> None:
    header = next(line for line in section("Beside others").splitlines() if line.startswith("| |"))
    projects = [cell.strip() for cell in header.strip("|").split("|")][2:]
    text = (ROOT / "docs/comparison.md").read_text("utf-8")
    for project in projects:
        sources = text.partition(f"\n## {project}\n")[2].partition("\n## ")[0]
        assert "https://" in sources, project
    assert re.findall(r"\w+ 20\d\d", section("Beside others"))[0] in text
