"""The project in the current folder: its worker modules and its settings."""

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
    """A module that may define workers.

    ``label``: what messages call it, its file or its name. ``package``: the part before the colon in ``package:Name``.
    """

    name: str
    label: str
    package: str


def _is_no_worker_module(path: Path) -> bool:
    """Whether *path* is a private module or a test. Tests define workers that are not meant to run."""
    name, folders = path.stem, path.parts[:-1]
    if any(folder.startswith((".", "_")) or folder in ("test", "tests") for folder in folders):
        return True
    return (
        (name.startswith((".", "_", "test_")) and name != "__init__")
        or name.endswith("_test")
        or name == "conftest"
    )


class Project:
    """The project in the folder *root*. A module is imported when it is needed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def modules(self) -> list[ProjectModule]:
        """Return the modules under ``src/workers`` (or ``src/workers.py``), and those that ``[tool.core] workers`` names.

        Raises ConfigurationError.
        """
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
        # If there is a folder of that name too, an import finds the folder.
        return [file] if file.is_file() and not (self.root / WORKERS).is_dir() else []

    def _is_src_layout(self) -> bool:
        """Whether ``import workers`` finds ``src/workers``, as in a package that is installed as editable.

        A file that is imported under two names would define each of its workers twice.
        """
        try:
            spec = importlib.util.find_spec(WORKERS.name)
            places = [*(spec.submodule_search_locations or ()), spec.origin or ""] if spec else []
        except Exception:  # from an import finder of another library, or for a module without a spec
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

    def searched_place(self) -> str:
        """Describe where no workers were found. In a subfolder of a project, name the folder of the project."""
        above = next((each for each in self.root.absolute().parents if (each / WORKERS).is_dir()), None)
        hint = f" ({above} has {WORKERS}: run the command there)" if above else ""
        return f"nothing under {self.root.absolute() / WORKERS}{hint}"

    def tool_core(self) -> dict[str, Any]:
        """Return the table ``[tool.core]`` of the project's pyproject.toml; empty if there is none.

        Raises ConfigurationError where the file cannot be read.
        """
        file = self.root / "pyproject.toml"
        try:
            table = tomllib.loads(file.read_text("utf-8-sig"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{file} cannot be read: {error}; correct it") from error
        found = table.get("tool", {}).get("core", {})
        return found if isinstance(found, dict) else {}

    def importable(self) -> None:
        """Let ``import src...`` find the project's modules, as it does for Python in the project's folder."""
        let_import_from(self.root)

    def settings(self) -> Settings:
        """Return an instance of the project's settings class (``src/settings.py`` or ``src/settings/``), else of Settings.

        Raises ConfigurationError, also for a misspelt setting.
        """
        # pydantic is imported only where settings are read.
        from core_messaging.discovery.project_settings import settings_in  # noqa: PLC0415

        return settings_in(self)


def project_settings() -> Settings:
    """Return the settings of the project in the current folder. Raises ConfigurationError."""
    return Project(Path.cwd()).settings()


def let_import_from(folder: Path) -> None:
    """Add *folder* to ``sys.path``, after the standard library and before installed packages."""
    if str(folder) not in sys.path:
        sys.path.insert(_index_after_standard_library(), str(folder))


def _index_after_standard_library() -> int:
    """Return the index in ``sys.path`` right after the standard library.

    An ``email.py`` or ``token.py`` of the project must not replace a module of the standard library.
    """
    own = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    places = [
        place for place, path in enumerate(sys.path) if path in own or Path(path).parent.as_posix() in own
    ]
    installed = ("site-packages", "dist-packages")
    return 1 + max((place for place in places if not sys.path[place].endswith(installed)), default=-1)
