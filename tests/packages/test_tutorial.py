"""The tutorial: each page is followed as it stands, its files written and its commands given, in a folder of a beginner."""

from __future__ import annotations

import re

import pytest

from tests.environments import ROOT
from tests.packages.shell import Beginner, blocks_of

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
