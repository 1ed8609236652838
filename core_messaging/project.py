"""The project one stands in: its worker modules and its settings."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core_messaging.errors import ConfigurationError

if TYPE_CHECKING:
    from core_messaging.settings import Settings

WORKERS = Path("src/workers")


@dataclass(frozen=True, slots=True)
class ProjectModule:
    """A module that may define workers; ``label`` is what people know it by: its file, or its name."""

    name: str
    label: str


class Project:
    """What *root* holds. Nothing is imported before somebody asks for it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def modules(self) -> list[ProjectModule]:
        """Modules under ``src/workers`` (or ``src/workers.py``), and those that ``[tool.core] workers`` names.
        Raises ConfigurationError."""
        return [*self._below_src_workers(), *self._named()]

    def _below_src_workers(self) -> list[ProjectModule]:
        found = []
        for file in [*self._one_file(), *sorted((self.root / WORKERS).rglob("*.py"))]:
            path = file.relative_to(self.root)
            parts = path.with_suffix("").parts
            if any(part.startswith((".", "_")) and part != "__init__" for part in parts):
                continue
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(ProjectModule(name, path.as_posix()))
        return found

    def _one_file(self) -> list[Path]:
        file = (self.root / WORKERS).with_suffix(".py")
        # Beside a folder of that name, an import finds the folder.
        return [file] if file.is_file() and not (self.root / WORKERS).is_dir() else []

    def _named(self) -> list[ProjectModule]:
        named = self.tool_core().get("workers", [])
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise ConfigurationError(
                f"[tool.core] workers = {named!r} in pyproject.toml; "
                'write a list of module names: workers = ["shop.workers"]'
            )
        return [ProjectModule(name, name) for name in named]

    def nothing_here(self) -> str:
        """Where workers were looked for in vain, and where they may be: who stands in a subfolder of the project wants to know."""
        above = next((each for each in self.root.absolute().parents if (each / WORKERS).is_dir()), None)
        hint = f" ({above} has {WORKERS}: run the command there)" if above else ""
        return f"nothing under {self.root.absolute() / WORKERS}{hint}"

    def tool_core(self) -> dict[str, Any]:
        """The table ``[tool.core]`` of the project's pyproject.toml. Raises ConfigurationError."""
        file = self.root / "pyproject.toml"
        try:
            table = tomllib.loads(file.read_text("utf-8-sig"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{file} cannot be read: {error}; mend it") from error
        found = table.get("tool", {}).get("core", {})
        return found if isinstance(found, dict) else {}

    def importable(self) -> None:
        """Let ``import src...`` find the project's modules, as a user expects who stands in it."""
        root = str(self.root)
        if root not in sys.path:
            sys.path.insert(0, root)

    def settings(self) -> Settings:
        """An instance of the project's settings class (``src/settings.py``, or the package ``src/settings``), or of the
        plain one. Raises ConfigurationError, also for a setting that is misspelt."""
        # pydantic is imported only where settings are read.
        from core_messaging.project_settings import settings_in  # noqa: PLC0415

        return settings_in(self)


def project_settings() -> Settings:
    """The settings of the project in the current folder. Raises ConfigurationError."""
    return Project(Path.cwd()).settings()
