"""Prints pip constraints, one a line: the lowest version that pyproject.toml declares for each dependency.

python tools/oldest_versions.py > oldest.txt
pip install --constraint oldest.txt --editable '.[dev]'
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
# name, extras, lowest version; what follows (an upper bound, a marker) does not matter here.
LOWEST = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,-]+\])?>=(?P<version>[\w.]+)")


def requirements(project: dict[str, object]) -> Iterator[str]:
    """All dependencies of the package and of its extras. Extras that name the package itself add nothing."""
    groups = [project["dependencies"], *dict(project["optional-dependencies"]).values()]  # type: ignore[call-overload]
    for group in groups:
        yield from (each for each in group if not each.startswith(f"{project['name']}["))  # type: ignore[attr-defined]


def main() -> None:
    """Print the constraints. Fails where a dependency has no lower bound."""
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    for requirement in sorted(set(requirements(project))):
        found = LOWEST.match(requirement)
        if found is None:
            raise SystemExit(
                f"pyproject.toml: {requirement!r} has no lower bound; write {requirement}>=VERSION"
            )
        print(f"{found['name']}=={found['version']}")


if __name__ == "__main__":
    main()
