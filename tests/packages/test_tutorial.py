"""The tutorial and the README's first minutes: followed as they stand, files and commands, in a folder of a beginner."""

from __future__ import annotations

import re

import pytest

from tests.environments import ROOT
from tests.packages.readme import blocks, section
from tests.packages.shell import Beginner, blocks_of, commands_of

PAGES = re.findall(r"^([a-z-]+)$", (ROOT / "docs/tutorial/index.md").read_text("utf-8"), re.MULTILINE)


@pytest.mark.timeout(300)  # pip asks the index for each dependency
@pytest.mark.parametrize("page", PAGES)
def test_the_page_does_what_it_says(page: str, beginner: Beginner) -> None:
    text = (ROOT / f"docs/tutorial/{page}.md").read_text("utf-8")
    with beginner.terminal() as given:
        for language, block in blocks_of(text):
            if language == "console":
                given.follow(block)
            elif language == "python":
                first, _, _ = block.partition("\n")
                assert first.startswith("# "), f"{page}: the block says no file: {first}"
                given.write(first.removeprefix("# "), block)
            else:
                assert any(
                    block in file.read_text("utf-8") for file in beginner.folder.glob("*/pyproject.toml")
                )
        given.give("wait")


@pytest.mark.timeout(300)  # pip asks the index for each dependency
def test_the_five_minutes_of_the_readme(beginner: Beginner) -> None:
    hello, _ = blocks(section("Five minutes"), "python")
    _, trying = blocks(section("Five minutes"), "console")
    assert all(command.shown for command in commands_of(trying))
    with beginner.terminal() as given:
        given.write("hello.py", hello)
        given.follow(trying)
        given.give("wait")
