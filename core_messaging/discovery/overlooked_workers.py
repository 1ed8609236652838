"""Finds workers that are defined but cannot be found by a name, and tells why."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType

from core_messaging.worker import MARK, Worker, as_worker, config_of, defined, home_of, is_class, overwritten

_BASE_NAMES = ("Base", "Abstract", "Mixin")  # a class with such a name is a base for others


@dataclass(frozen=True, slots=True)
class Overlooked:
    """A worker class that no source offers; ``cause`` tells why, and what to do."""

    name: str
    worker: type[Worker]
    cause: str

    @property
    def runnable(self) -> type[Worker] | None:
        """The class if it has a topic, and so a configuration; else None."""
        return self.worker if self.worker.__core_config__ is not None else None


def overlooked(modules: Collection[str], offered: Collection[type[Worker]]) -> list[Overlooked]:
    """Return the workers that the packages of *modules* (the searched ones) define or import, without those *offered*."""
    found = [
        Overlooked(config_of(worker).name, worker, _why(worker, modules))
        for worker in dict.fromkeys([*overwritten.values(), *defined.values(), *_imported(modules)])
        if worker not in offered and _is_of(worker, modules) and not _is_base_of(worker, offered)
    ]
    topicless = (kind for kind in _descendants(Worker) if _lacks_topic(kind, modules))
    return found + [Overlooked(kind.__name__, kind, _TOPICLESS) for kind in topicless]


def _imported(modules: Iterable[str]) -> list[type[Worker]]:
    """Return the workers that have a name in one of *modules*."""
    spaces = [vars(sys.modules[name]) for name in modules if name in sys.modules]
    things = (thing for space in spaces for thing in list(space.values()) if _may_be_worker(thing))
    return [worker for worker in map(as_worker, things) if worker is not None]


def _may_be_worker(thing: object) -> bool:
    """Whether *thing* may be a worker. Does not load a lazy object of a framework."""
    # type() is used because the __class__ of a lazy object may raise.
    routine = FunctionType | MethodType | BuiltinFunctionType
    return is_class(thing) or (issubclass(type(thing), routine) and hasattr(thing, MARK))


def _is_of(worker: type[Worker], modules: Collection[str]) -> bool:
    """Whether *worker* is alive, and its module is in a searched package or a searched module imports the worker."""
    if not _is_alive(worker):
        return False
    packages = {name.partition(".")[0] for name in modules}
    return module_of(worker).partition(".")[0] in packages or worker in _imported(modules)


def _is_alive(worker: type[Worker]) -> bool:
    """Whether the module that defined *worker* is still loaded: it was not imported again since, and did not fail."""
    module = sys.modules.get(module_of(worker))
    return module is not None and home_of(worker) is vars(module)


def module_of(worker: type[Worker]) -> str:
    """Return the name of the module that made *worker* a worker; its function may come from another module."""
    name: str = home_of(worker).get("__name__", worker.__module__)
    return name


def _is_base_of(worker: type[Worker], offered: Collection[type[Worker]]) -> bool:
    return any(issubclass(other, worker) for other in offered)


def _why(worker: type[Worker], modules: Collection[str]) -> str:
    module = module_of(worker)
    place = f"it is defined in {module}"
    if worker in overwritten.values():
        return f"{place}, where a later worker with the same name replaces it; rename one of them"
    if not any(module == name or module.startswith(f"{name}.") for name in modules):
        return (
            f"{place}, which is not searched; add that module to [tool.core] workers in pyproject.toml, "
            "or to the entry points core.workers of its package"
        )
    if as_worker(vars(sys.modules[module]).get(worker.__qualname__)) is worker:
        return f"{place}, and no entry point names it or its module; add one to core.workers"
    return (
        f"{place}, and no name at the top level of that module refers to it (it is inside a function, a class or a list, or "
        "below a decorator without functools.wraps); give it a name there"
    )


_TOPICLESS = 'it has no input_topic; write input_topic = "tasks" in it (the name of a base class starts with Base or _)'


def _lacks_topic(kind: type[Worker], modules: Collection[str]) -> bool:
    """Whether *kind* looks like a worker without its topic: it handles messages, and it has no subclass."""
    if kind.__core_config__ is not None or kind.__subclasses__() or inspect.isabstract(kind):
        return False
    name = kind.__name__
    if name.startswith(("_", *_BASE_NAMES)) or name.endswith(_BASE_NAMES):
        return False
    handles = hasattr(kind, "process") or hasattr(kind, "process_batch")
    return handles and _is_alive(kind) and _is_of(kind, modules)


def _descendants(kind: type[Worker]) -> list[type[Worker]]:
    own = kind.__subclasses__()
    return list(dict.fromkeys([*own, *(below for each in own for below in _descendants(each))]))
