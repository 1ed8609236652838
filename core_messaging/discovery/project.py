"""The project one stands in: its worker modules and its settings."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
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
    """A module that may define workers; ``label`` is what people know it by: its file, or its name. ``package`` stands
    before the colon in ``package:Name``."""

    name: str
    label: str
    package: str


def _is_no_worker_module(path: Path) -> bool:
    """Of a path below the workers: private modules, and tests, which define workers of their own to try things on."""
    name, folders = path.stem, path.parts[:-1]
    if any(folder.startswith((".", "_")) or folder in ("test", "tests") for folder in folders):
        return True
    return (
        (name.startswith((".", "_", "test_")) and name != "__init__")
        or name.endswith("_test")
        or name == "conftest"
    )


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
        skipped = len(WORKERS.parts) - 1 if self._is_src_layout() else 0
        for file in [*self._one_file(), *sorted((self.root / WORKERS).rglob("*.py"))]:
            path = file.relative_to(self.root)
            parts = path.with_suffix("").parts
            if _is_no_worker_module(path):
                continue
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found.append(ProjectModule(".".join(parts[skipped:]), path.as_posix(), ".".join(parts)))
        return found

    def _one_file(self) -> list[Path]:
        file = (self.root / WORKERS).with_suffix(".py")
        # Beside a folder of that name, an import finds the folder.
        return [file] if file.is_file() and not (self.root / WORKERS).is_dir() else []

    def _is_src_layout(self) -> bool:
        """Whether ``import workers`` finds ``src/workers``, as in a package that is installed editable. A file that is imported
        under two names would define each of its workers twice."""
        try:
            spec = importlib.util.find_spec(WORKERS.name)
            places = [*(spec.submodule_search_locations or ()), spec.origin or ""] if spec else []
        except Exception:  # a finder of a stranger, or a module without a spec
            return False
        here = (self.root / WORKERS).resolve()
        return any(Path(place).resolve() in (here, here.with_suffix(".py")) for place in places)

    def _named(self) -> list[ProjectModule]:
        named = self.tool_core().get("workers", [])
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise ConfigurationError(
                f"[tool.core] workers = {named!r} in pyproject.toml; "
                'write a list of module names: workers = ["shop.workers"]'
            )
        return [ProjectModule(name, name, name) for name in named]

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
        let_import_from(self.root)

    def settings(self) -> Settings:
        """An instance of the project's settings class (``src/settings.py``, or the package ``src/settings``), or of the
        plain one. Raises ConfigurationError, also for a setting that is misspelt."""
        # pydantic is imported only where settings are read.
        from core_messaging.discovery.project_settings import settings_in  # noqa: PLC0415

        return settings_in(self)


def project_settings() -> Settings:
    """The settings of the project in the current folder. Raises ConfigurationError."""
    return Project(Path.cwd()).settings()


def let_import_from(folder: Path) -> None:
    """Let an import find what is in *folder*: before installed packages, behind the standard library."""
    if str(folder) not in sys.path:
        sys.path.insert(_behind_the_standard_library(), str(folder))


def _behind_the_standard_library() -> int:
    """Where in ``sys.path`` a project's modules are: before installed packages, but an ``email.py`` or ``token.py`` of the
    project is no module of the standard library."""
    own = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    places = [
        place for place, path in enumerate(sys.path) if path in own or Path(path).parent.as_posix() in own
    ]
    installed = ("site-packages", "dist-packages")
    return 1 + max((place for place in places if not sys.path[place].endswith(installed)), default=-1)
