"""Finds workers: in the entry points of installed packages, the modules of the project, and this process.

Each source is loaded on its own, because the import of other people's code may raise anything.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import ModuleType

from core_messaging.config import kebab
from core_messaging.definition.names import plain
from core_messaging.definition.signatures import why_uncallable
from core_messaging.discovery.entry_points import points_of, unreadable_of, warn_of_unreadable
from core_messaging.discovery.overlooked_workers import module_of, overlooked
from core_messaging.discovery.project import Project
from core_messaging.discovery.shared_groups import shared_groups
from core_messaging.discovery.source_scan import files_with_worker, may_define
from core_messaging.errors import BrokenPackages, BrokenWorker, DuplicateWorker, UnknownWorker
from core_messaging.logs.tracebacks import cause_and_place
from core_messaging.worker import Worker, as_worker, config_of, defined, home_of, is_class

GROUP = "core.workers"


@dataclass(slots=True)
class Source:
    """One place that may provide workers: an entry point, or a module of the project.

    ``package``: the part before the colon in ``package:Name``. ``label``: what messages call it, distribution and version,
    or a file. ``open`` imports it. ``may_be_empty``: whether it is no failure that it has no worker. ``module``: the name of
    the module; ``attribute``: the one name in it, if the entry point has one. ``failure``: why loading failed, None before
    that.
    """

    name: str
    package: str
    label: str
    open: Callable[[], object]
    may_be_empty: bool = False
    module: str = ""
    attribute: str = ""
    failure: str | None = None
    _found: list[type[Worker]] | None = field(default=None, repr=False)

    def may_provide(self, name: str) -> bool:
        """Whether it may have a worker called *name*, judged by its own name and its source text. Loads nothing."""
        if self._found is not None or self.is_about(name):
            return True
        return bool(self.module) and not self.attribute and may_define(self.module, name)

    def is_about(self, name: str) -> bool:
        """Whether *name* is what it is called, or the one thing in it."""
        return _same(self.name, name) or self.attribute == name

    def workers(self) -> list[type[Worker]]:
        """Return the workers that it provides; load them at the first call. Empty if that failed; see ``failure``."""
        if self._found is None:
            self._found = self._load()
        return self._found

    def _load(self) -> list[type[Worker]]:
        before = dict(defined)
        try:
            found = workers_of(self.open())
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # Workers that the module defined before it failed are not offered either.
            defined.clear()
            defined.update(before)
            self.failure = cause_and_place(error)
            return []
        _searched.update(worker for key, worker in defined.items() if before.get(key) is not worker)
        if not found and not self.may_be_empty:
            self.failure = "it defines no worker"
        for worker in found:
            config = config_of(worker)
            # The first label stays. An entry point knows the distribution, a later source would know only the file.
            if config.source == worker.__module__:
                worker.__core_config__ = replace(config, source=self.label)
        return found


# Workers that were defined while a source was loaded. They belong to the source, not to this process.
_searched: set[type[Worker]] = set()


def workers_of(thing: object) -> list[type[Worker]]:
    """Return the workers of *thing*: a worker class, a decorated function, or a module with workers that it defines.

    Raises TypeError for anything else, and for a class that cannot run.
    """
    single = as_worker(thing)
    if single is not None:
        return [single]
    if is_class(thing) and issubclass(thing, Worker):
        raise TypeError(f"{thing.__qualname__}: {why_it_cannot_run(thing)}")
    if not isinstance(thing, ModuleType):
        raise TypeError(f"{thing!r} is no worker class, no @worker function and no module")
    found = [worker for worker in map(as_worker, list(vars(thing).values())) if worker is not None]
    own = [worker for worker in found if _is_own(worker, thing)]
    return list(dict.fromkeys(own))


def _is_own(worker: type[Worker], module: ModuleType) -> bool:
    """Whether *module* defines *worker*, or makes it of a function from another module."""
    home = module.__name__
    below = worker.__module__ == home or worker.__module__.startswith(home + ".")
    return below or home_of(worker) is vars(module)


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of a listing.

    ``state``: "ok", "broken", "conflict", or "shared" (it runs, and gets only a part of its messages). ``cause``: why the
    state is not "ok". ``worker``: None where the worker has no configuration.
    """

    name: str
    label: str
    worker: type[Worker] | None
    state: str = "ok"
    cause: str = ""

    @property
    def can_run(self) -> bool:
        """Whether the worker can run."""
        return self.state in ("ok", "shared")


class Catalog:
    """All sources of workers. A source is loaded when it is needed."""

    def __init__(self, sources: Iterable[Source], nothing_at: str = "") -> None:
        """*nothing_at*: a further place that was searched and has no workers, for messages."""
        self.sources = list(sources)
        self._nothing_at = nothing_at

    def find(self, wanted: str) -> type[Worker]:
        """Return the worker called *wanted* (``Name`` or ``package:Name``); import only sources that may provide it.

        All sources are equal: two that offer the name are an error. All are imported only if none of those that may provide
        the name does.

        Raises UnknownWorker, DuplicateWorker, BrokenWorker.
        """
        wanted = plain(wanted)
        package, _, name = wanted.rpartition(":")
        sources = [s for s in self.sources if not package or package in (s.package, s.name)]
        likely = [s for s in sources if s.may_provide(name)]
        for tier in (likely, sources):
            offers = {w: s for s in tier for w in s.workers() if config_of(w).name == name}
            if len(offers) > 1:
                raise DuplicateWorker(name, sorted({s.package for s in offers.values()}))
            if offers:
                return checked(next(iter(offers)))
        raise self._unknown(wanted, name, sources)

    def _unknown(self, wanted: str, name: str, sources: Sequence[Source]) -> Exception:
        for source in sources:
            if source.failure and (len(sources) == 1 or source.is_about(name)):
                return BrokenWorker(wanted, source.label, source.failure)
        names = sorted({config_of(w).name for s in self.sources for w in s.workers()})
        hidden = next((row for row in self._overlooked() if row.name == name), None)
        if hidden is not None:
            return BrokenWorker(wanted, hidden.label, hidden.cause)
        labels = {source.label for source in sources}
        in_files = [f"{file}:{name}" for file in files_with_worker(Path.cwd(), name) if file not in labels]
        lowered = in_files or [known for known in names if known.lower() == name.lower()]
        nearest = get_close_matches(name, names, n=3, cutoff=0.5)
        searched = dict.fromkeys(filter(None, [*(s.label for s in sources), self._nothing_at]))
        broken = [f"{s.label} is broken: {s.failure}" for s in sources if s.failure]
        return UnknownWorker(wanted, lowered or nearest, list(searched), broken)

    def listing(self) -> list[Listed]:
        """Return a row for every worker and for everything that should be a worker. Loads all sources."""
        rows: list[Listed] = []
        owners: dict[str, dict[type[Worker], Source]] = {}
        for source in self.sources:
            for worker in source.workers():
                owners.setdefault(config_of(worker).name, {}).setdefault(worker, source)
            if source.failure:
                rows.append(Listed(source.name, source.label, None, "broken", source.failure))
        for name, offers in owners.items():
            rows += [_row(name, worker, source, offers) for worker, source in offers.items()]
        rows = [row for row in rows if row.worker is None or not self._is_abstract_base(row.worker)]
        rows += self._overlooked()
        return sorted(_with_shared_groups(rows), key=lambda row: (row.name, row.label))

    def _offered(self) -> set[type[Worker]]:
        return {worker for source in self.sources for worker in source.workers()}

    def _is_abstract_base(self, worker: type[Worker]) -> bool:
        """Whether *worker* is an abstract class with a subclass among the workers; it is not meant to run."""
        return inspect.isabstract(worker) and any(
            issubclass(other, worker) and other is not worker for other in self._offered()
        )

    def _overlooked(self) -> list[Listed]:
        """Return a row for each worker that a searched module defines or imports, and that no source offers."""
        modules = {source.module: source.label for source in self.sources if source.module}
        return [
            Listed(each.name, _label_of(each.worker, modules), each.runnable, "broken", each.cause)
            for each in overlooked(modules, self._offered())
        ]

    def healthy(self) -> list[type[Worker]]:
        """Return the workers that can run."""
        return [row.worker for row in self.listing() if row.worker is not None and row.can_run]

    def culprits(self) -> dict[str, str]:
        """Return what cannot run: ``name (label)`` -> cause."""
        return {f"{row.name} ({row.label})": row.cause for row in self.listing() if not row.can_run}

    def all(self) -> list[type[Worker]]:
        """Return every worker. Raises BrokenPackages if one of them cannot run: it must not be missing unnoticed."""
        culprits = self.culprits()
        if culprits:
            raise BrokenPackages(culprits)
        return self.healthy()


def _label_of(worker: type[Worker], modules: Mapping[str, str]) -> str:
    """Return where the user finds *worker*: the label of its source, or the name of its module."""
    module = module_of(worker)
    names = (name for name in modules if module == name or module.startswith(f"{name}."))
    nearest = max(names, key=len, default=None)
    return module if nearest is None else modules[nearest]


def _row(name: str, worker: type[Worker], source: Source, offers: dict[type[Worker], Source]) -> Listed:
    if len(offers) > 1:
        others = sorted({s.label for w, s in offers.items() if w is not worker})
        return Listed(name, source.label, worker, "conflict", f"also offered by {', '.join(others)}")
    problem = why_it_cannot_run(worker)
    return Listed(name, source.label, worker, "broken" if problem else "ok", problem)


def _with_shared_groups(rows: Sequence[Listed]) -> list[Listed]:
    """Return *rows*; workers that take messages from each other have the state "shared" and the cause."""
    ok = {
        id(config_of(row.worker)): config_of(row.worker) for row in rows if row.worker and row.state == "ok"
    }
    causes: dict[int, list[str]] = {}
    for pair in shared_groups(list(ok.values())):
        for one in (pair.first, pair.second):
            causes.setdefault(id(one), []).append(pair.seen_from(one))
    return [
        replace(row, state="shared", cause="; ".join(causes[id(config_of(row.worker))]))
        if row.worker and id(config_of(row.worker)) in causes
        else row
        for row in rows
    ]


def why_it_cannot_run(worker: type[Worker]) -> str:
    """Return what *worker* lacks to run; "" if it can run."""
    if worker.__core_config__ is None:
        return 'it has no input_topic; write input_topic = "tasks" in it'
    if inspect.isabstract(worker):
        lacks = ", ".join(sorted(getattr(worker, "__abstractmethods__", ())))
        return (
            f"it is abstract and lacks {lacks}; define them in a subclass and give that one the input_topic"
        )
    if not hasattr(worker, "process") and not hasattr(worker, "process_batch"):
        return "it defines neither process nor process_batch"
    if not hasattr(worker, "process") and config_of(worker).batch_size is None:
        return "it defines process_batch without a batch_size"
    problem = why_uncallable(worker, 0)
    if problem:
        return f"it is made without arguments, and its __init__ needs some ({problem}); give them defaults"
    return ""


def checked(worker: type[Worker]) -> type[Worker]:
    """Return *worker*. Raises BrokenWorker if it cannot run."""
    problem = why_it_cannot_run(worker)
    if problem:
        config = config_of(worker)
        raise BrokenWorker(config.name, config.source, problem)
    return worker


def _same(source: str, name: str) -> bool:
    return source == name or kebab(source) == kebab(name)


def installed() -> list[Source]:
    """Return a source for every entry point of the group ``core.workers``."""
    warn_of_unreadable()
    sources = []
    for point in points_of(GROUP):
        module, _, attribute = point.value.partition("[")[0].replace(" ", "").partition(":")
        source = Source(
            point.name, point.distribution, point.label, point.load, module=module, attribute=attribute
        )
        sources.append(source)
    for each in unreadable_of(GROUP):
        name = each.label.partition(" ")[0]
        sources.append(Source(name, name, each.label, list, failure=each.cause, _found=[]))
    return sources


def of_project(project: Project) -> list[Source]:
    """Return a source for every module of the project that may define workers."""
    modules = project.modules()
    if modules:
        project.importable()
    return [
        Source(
            module.name.rpartition(".")[2],
            module.package,
            module.label,
            partial(importlib.import_module, module.name),
            may_be_empty=True,  # an __init__.py, or a module with shared base classes
            module=module.name,
        )
        for module in modules
    ]


def of_process() -> list[Source]:
    """Return a source for each worker that another module of this process defines, such as a script."""
    sources = []
    for worker in (each for each in defined.values() if each not in _searched):
        module = sys.modules.get(worker.__module__)
        file = None if module is None else vars(module).get("__file__")
        known = config_of(worker).source
        label = known if known != worker.__module__ else Path(file).name if file else known
        sources.append(Source(config_of(worker).name, worker.__module__, label, partial(_identity, worker)))
    return sources


def _identity(worker: type[Worker]) -> type[Worker]:
    return worker


def discover(root: Path | None = None) -> Catalog:
    """Return the sources of installed packages, the project in *root* (None: the current folder), and this process.

    Imports none of them.
    """
    project = Project(root or Path.cwd())
    own = of_project(project)
    return Catalog([*installed(), *own, *of_process()], "" if own else project.searched_place())
