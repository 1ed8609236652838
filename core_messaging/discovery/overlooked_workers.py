"""Workers that are defined, and that nobody can find by a name: each with the reason."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType

from core_messaging.worker import MARK, Worker, as_worker, config_of, defined, home_of, is_class, overwritten

_BASE_NAMES = ("Base", "Abstract", "Mixin")  # how people call a class that is there for others


@dataclass(frozen=True, slots=True)
class Overlooked:
    """A worker class that no source offers; ``cause`` says why, and what to do."""

    name: str
    worker: type[Worker]
    cause: str

    @property
    def runnable(self) -> type[Worker] | None:
        """The class, if it has a topic, and with it a configuration."""
        return self.worker if self.worker.__core_config__ is not None else None


def overlooked(modules: Collection[str], offered: Collection[type[Worker]]) -> list[Overlooked]:
    """What the packages of *modules* (those that are searched) define, and what they import, beside what is *offered*."""
    found = [
        Overlooked(config_of(worker).name, worker, _why(worker, modules))
        for worker in dict.fromkeys([*overwritten.values(), *defined.values(), *_imported(modules)])
        if worker not in offered and _is_of(worker, modules) and not _is_base_of(worker, offered)
    ]
    bases = (kind for kind in _descendants(Worker) if _is_forgotten(kind, modules))
    return found + [Overlooked(kind.__name__, kind, _TOPICLESS) for kind in bases]


def _imported(modules: Iterable[str]) -> list[type[Worker]]:
    """The workers that have a name in one of *modules*."""
    spaces = [vars(sys.modules[name]) for name in modules if name in sys.modules]
    things = (thing for space in spaces for thing in list(space.values()) if _may_be_worker(thing))
    return [worker for worker in map(as_worker, things) if worker is not None]


def _may_be_worker(thing: object) -> bool:
    """Asked without waking a lazy object of a framework."""
    # By type(): the __class__ of such an object may raise.
    routine = FunctionType | MethodType | BuiltinFunctionType
    return is_class(thing) or (issubclass(type(thing), routine) and hasattr(thing, MARK))


def _is_of(worker: type[Worker], modules: Collection[str]) -> bool:
    """Whether the module that defined it is alive, and is of a package that is searched, or imported by one."""
    if not _is_alive(worker):
        return False
    packages = {name.partition(".")[0] for name in modules}
    return module_of(worker).partition(".")[0] in packages or worker in _imported(modules)


def _is_alive(worker: type[Worker]) -> bool:
    """False for what a module defined that has been imported anew since, or that broke."""
    module = sys.modules.get(module_of(worker))
    return module is not None and home_of(worker) is vars(module)


def module_of(worker: type[Worker]) -> str:
    """The name of the module in which *worker* was made a worker; a function may come from another one."""
    name: str = home_of(worker).get("__name__", worker.__module__)
    return name


def _is_base_of(worker: type[Worker], offered: Collection[type[Worker]]) -> bool:
    return any(issubclass(other, worker) for other in offered)


def _why(worker: type[Worker], modules: Collection[str]) -> str:
    module = module_of(worker)
    place = f"it is defined in {module}"
    if worker in overwritten.values():
        return f"{place}, where a later one has the same name and takes its place; rename one of them"
    if not any(module == name or module.startswith(f"{name}.") for name in modules):
        return (
            f"{place}, where nobody searches; add that module to [tool.core] workers in pyproject.toml, "
            "or to the entry points core.workers of its package"
        )
    if as_worker(vars(sys.modules[module]).get(worker.__qualname__)) is worker:
        return f"{place}, and no entry point names it, nor the module; add one to core.workers"
    return (
        f"{place}, and no name at the top of that module leads to it (it is inside of a function, a class or a list, or below "
        "a decorator without functools.wraps); give it a name there"
    )


_TOPICLESS = 'it has no input_topic; write input_topic = "tasks" in it (a base for others is called Base... or begins with _)'


def _is_forgotten(kind: type[Worker], modules: Collection[str]) -> bool:
    """Whether it looks like a worker whose topic was forgotten: it handles messages, and no class builds on it."""
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
