"""The README, by its sections and blocks."""

from __future__ import annotations

from tests.environments import ROOT
from tests.packages.shell import blocks_of

README = (ROOT / "README.md").read_text("utf-8")


def section(title: str) -> str:
    _, _, rest = README.partition(f"\n## {title}\n")
    assert rest, f"README.md has no section {title!r}"
    return rest.partition("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    return [block for found, block in blocks_of(text) if found == language]
