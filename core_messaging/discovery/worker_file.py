"""Finds the workers of one file by its path: ``core kafka worker hello.py`` needs no project."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

from core_messaging.discovery.catalog import Catalog, Listed, Source, checked
from core_messaging.discovery.overlooked_workers import module_of
from core_messaging.discovery.project import Project, let_import_from
from core_messaging.errors import WorkerFileError
from core_messaging.worker import Worker

SUFFIX = ".py"


def is_file(wanted: str) -> bool:
    """Whether *wanted* is ``path/to/file.py`` or ``path/to/file.py:NAME``; else it is the name of a worker."""
    file, _ = _parts(wanted)
    return file.endswith(SUFFIX)


def workers_in_file(wanted: str, project: Project) -> list[type[Worker]]:
    """Return the worker that *wanted* names in its file, or all workers that the file defines. Imports the file.

    Raises WorkerFileError, UnknownWorker, BrokenWorker.
    """
    file, name = _parts(wanted)
    if not Path(file).is_file():
        raise WorkerFileError(
            file, "there is no such file", "check the path, which starts at the current folder"
        )
    source = _source_of(file, project)
    found = source.workers()
    if source.failure:
        raise WorkerFileError(file, source.failure, "correct the file")
    if name:
        return [Catalog([source]).find(name)]
    _refuse_broken(file, source)
    return [checked(worker) for worker in found]


def _parts(wanted: str) -> tuple[str, str]:
    """Return the path, and the name after its colon; "" if there is none."""
    if wanted.endswith(SUFFIX):
        return wanted, ""
    file, _, name = wanted.rpartition(":")
    return file, name


def _source_of(file: str, project: Project) -> Source:
    path = Path(file).resolve()
    project.importable()
    module = _module_of_project(path, project) or _module_by_import(path)
    load = partial(importlib.import_module, module) if module else partial(_loaded, path)
    return Source(path.stem, path.stem, file, load, module=module or _own_name(path))


def _module_of_project(path: Path, project: Project) -> str:
    """Return the module name of a file of the project, else "". Under two names, it would define each worker twice."""
    return next(
        (each.name for each in project.modules() if (project.root / each.label).resolve() == path), ""
    )


def _module_by_import(path: Path) -> str:
    """Return the name by which an import finds *path*; "" where that name is another module (``email.py``)."""
    folder, dotted = _import_name(path)
    let_import_from(folder)
    try:
        spec = importlib.util.find_spec(dotted)
    except (ImportError, ValueError):
        return ""
    is_it = spec is not None and spec.origin is not None and Path(spec.origin).resolve() == path
    return dotted if is_it else ""


def _import_name(path: Path) -> tuple[Path, str]:
    """Return the folder to import from, and the module name there: a file in a package is imported as a part of it."""
    folder, parts = path.parent, [path.stem]
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts)


def _own_name(path: Path) -> str:
    return f"worker_file_{path.stem}"


def _loaded(path: Path) -> ModuleType:
    """Load the module in *path* under a name that hides no other module."""
    name = _own_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101 - the path ends in .py
    assert spec.loader is not None  # noqa: S101 - as above
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _refuse_broken(file: str, source: Source) -> None:
    """Raise WorkerFileError if a worker of the file cannot run. Workers that it imports from other modules do not count."""
    broken = [row for row in Catalog([source]).listing() if not row.can_run and _is_of(row, source.module)]
    if broken:
        causes = "; ".join(f"{row.name}: {row.cause}" for row in broken)
        raise WorkerFileError(file, causes, f"correct it, or run the others by name ({file}:NAME)")


def _is_of(row: Listed, module: str) -> bool:
    return row.worker is None or module_of(row.worker) == module
