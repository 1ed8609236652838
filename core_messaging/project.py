"""The project one stands in: its worker modules and its settings."""

from __future__ import annotations

import importlib
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core_messaging.errors import ConfigurationError

if TYPE_CHECKING:
    from core_messaging.settings import Settings

WORKERS = Path("src/workers")
SETTINGS = Path("src/settings.py")


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
        """Modules under ``src/workers``, and those that ``[tool.core] workers`` names. Raises ConfigurationError."""
        return [*self._below_src_workers(), *self._named()]

    def _below_src_workers(self) -> list[ProjectModule]:
        found = []
        for file in sorted((self.root / WORKERS).rglob("*.py")):
            path = file.relative_to(self.root)
            parts = path.with_suffix("").parts
            if any(part.startswith((".", "_")) and part != "__init__" for part in parts):
                continue
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(ProjectModule(name, path.as_posix()))
        return found

    def _named(self) -> list[ProjectModule]:
        named = self.tool_core().get("workers", [])
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise ConfigurationError(
                f"[tool.core] workers = {named!r} in pyproject.toml; "
                'write a list of module names: workers = ["shop.workers"]'
            )
        return [ProjectModule(name, name) for name in named]

    def tool_core(self) -> dict[str, Any]:
        """The table ``[tool.core]`` of the project's pyproject.toml. Raises ConfigurationError."""
        file = self.root / "pyproject.toml"
        try:
            table = tomllib.loads(file.read_text("utf-8"))
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
        """An instance of the settings class in ``src/settings.py``, or of the plain one. Raises ConfigurationError."""
        from core_messaging.settings import Settings  # noqa: PLC0415 - pydantic only where settings are read

        if not (self.root / SETTINGS).is_file():
            return _instance(Settings, "the environment")
        self.importable()
        try:
            module = importlib.import_module("src.settings")
        except Exception as error:
            raise ConfigurationError(
                f"{SETTINGS} cannot be imported: {type(error).__name__}: {error}; mend it"
            ) from error
        classes = [
            thing for thing in vars(module).values() if _is_own_settings(thing, Settings, module.__name__)
        ]
        if not classes:
            return _instance(Settings, "the environment")
        # AppSettings by convention; else the one the others are built on top of.
        chosen = getattr(module, "AppSettings", None) or max(classes, key=lambda c: len(c.__mro__))
        return _instance(chosen, str(SETTINGS))


def project_settings() -> Settings:
    """The settings of the project in the current folder. Raises ConfigurationError."""
    return Project(Path.cwd()).settings()


def _is_own_settings(thing: object, base: type, module: str) -> bool:
    return isinstance(thing, type) and issubclass(thing, base) and thing.__module__ == module


def _instance(settings: type[Settings], where: str) -> Settings:
    try:
        return settings()
    except OSError as error:
        raise ConfigurationError(
            f"the settings in {where} cannot be read: {error}; let this user read the file, or remove it"
        ) from error
    except ValueError as error:
        # errors() names fields and reasons; str(error) would print the value, which may be a secret.
        details: list[dict[str, Any]] = getattr(error, "errors", list)()
        reasons = "; ".join(f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in details)
        raise ConfigurationError(
            f"the settings in {where} are wrong: {reasons or type(error).__name__}; mend them"
        ) from None
