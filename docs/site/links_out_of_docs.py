"""Pages link to files of the repository outside of docs/; on the site these are pages of their own, or plain words."""

from __future__ import annotations

import re
from typing import Any

# A link out of docs -> the page of the site that has the same; none: the words stay without a link.
PAGES = {
    "../README.md": "/index.md",
    "../README.md#options": "/generated/options.md",
    "../README.md#beside-others": "/comparison.md",
    "../benchmarks/RESULTS.md": "/generated/benchmarks.md",
    "../benchmarks/NOTES.md": "/generated/benchmark-method.md",
}
_LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)]+)\)")


def _on_the_site(found: re.Match[str]) -> str:
    words, target = found.groups()
    page = PAGES.get(target)
    return f"[{words}]({page})" if page else words


def _read(app: Any, page: str, source: list[str]) -> None:
    if "/" not in page:  # pages below have links within docs only
        source[0] = _LINK.sub(_on_the_site, source[0])


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
