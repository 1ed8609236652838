"""Which modules may define a name, told from their source: importing them all would cost, and may break."""

from __future__ import annotations

import sys
from pathlib import Path


def may_define(module: str, name: str) -> bool:
    """Whether *module*'s source has *name* in it. True as well where the source cannot be had, or imports ``*``."""
    file = _file_of(module)
    try:
        text = "" if file is None else file.read_text("utf-8")
    except (OSError, ValueError):
        return True
    return file is None or name in text or "import *" in text


def _file_of(module: str) -> Path | None:
    """Looked for as an import would, but without importing the packages around it; None where that does not do."""
    *packages, last = module.split(".")
    places = [Path(place or ".").joinpath(*packages) for place in sys.path]
    files = (file for place in places for file in (place / last / "__init__.py", place / f"{last}.py"))
    return next((file for file in files if file.is_file()), None)
