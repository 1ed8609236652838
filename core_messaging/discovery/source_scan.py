"""Tells from the source text which modules may define a name. To import them all would be slow and may fail."""

from __future__ import annotations

import re
import sys
from itertools import islice
from pathlib import Path

MOST_FILES, LARGEST = 200, 1024 * 1024  # files of a folder that are looked at, and bytes of one


def may_define(module: str, name: str) -> bool:
    """Whether the source of *module* contains *name*. Also True if the source is not found, or has ``import *``."""
    file = _file_of(module)
    try:
        text = "" if file is None else file.read_text("utf-8")
    except (OSError, ValueError):
        return True
    return file is None or name in text or "import *" in text


def _file_of(module: str) -> Path | None:
    """Find the file as an import would, without importing the packages around it. None if that fails."""
    *packages, last = module.split(".")
    places = [Path(place or ".").joinpath(*packages) for place in sys.path]
    files = (file for place in places for file in (place / last / "__init__.py", place / f"{last}.py"))
    return next((file for file in files if file.is_file()), None)


def files_with_worker(folder: Path, name: str) -> list[str]:
    """The Python files in *folder* whose source defines a class or a function called *name*, or says ``name="..."``."""
    if not name.isprintable():
        return []
    word = re.escape(name)
    defines = re.compile(
        rf"""^\s*(?:class|def|async\s+def)\s+{word}\b|\bname\s*=\s*["']{word}["']""", re.MULTILINE
    )
    return [
        file.name for file in islice(sorted(folder.glob("*.py")), MOST_FILES) if defines.search(_text(file))
    ]


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8") if file.stat().st_size <= LARGEST else ""
    except (OSError, ValueError):
        return ""
