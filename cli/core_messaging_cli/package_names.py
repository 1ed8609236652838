"""The names of a new package and its parts, and which names are refused. Pure."""

from __future__ import annotations

import builtins
import keyword
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from core_messaging.errors import NameRefused

# PEP 503 without dots: letters and digits, with single dashes or underscores between. A module cannot begin with a digit.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*", re.ASCII)

# Modules of this project, modules that it and the new tests import, and common folders. A package of such a name hides them.
_TAKEN_MODULES = frozenset(
    [
        "core",
        "core_messaging",
        "core_messaging_cli",
        "core_messaging_plugins",
        "aiokafka",
        "click",
        "conftest",
        "hatchling",
        "importlib_metadata",
        "jinja2",
        "msgspec",
        "pip",
        "pluggy",
        "pydantic",
        "pydantic_settings",
        "pytest",
        "rich",
        "setup",
        "setuptools",
        "src",
        "test",
        "tests",
    ]
)

# Names that the templates import or define.
_TAKEN_CLASSES = frozenset({"Any", "Config", "Context", "Failing", "Worker"})


@dataclass(frozen=True, slots=True)
class Names:
    """``name``: of the distribution; ``cls``: of the worker or plugin class; ``topic``: what the worker reads."""

    name: str
    module: str
    cls: str
    topic: str


def names_for(name: str, installed: Mapping[str, str]) -> Names:
    """Make the names of a new package called *name*. *installed*: names that are taken, with the label of their owner.

    Raises NameRefused.
    """
    if not _NAME.fullmatch(name):
        raise NameRefused(
            name, "is not a package name", "use letters, digits and single dashes, for example invoice-mailer"
        )
    module = name.replace("-", "_").lower()
    cls = "".join(word[:1].upper() + word[1:] for word in re.split("[-_]", name))
    _refuse_module(name, module)
    _refuse_class(name, cls)
    if name in installed:
        raise NameRefused(name, f"is the name of one of {installed[name]}", "choose another name")
    return Names(name, module, cls, module.replace("_", "-"))


def _refuse_module(name: str, module: str) -> None:
    if keyword.iskeyword(module):
        raise NameRefused(name, "is a keyword of Python", f"choose another name, for example {name}-tasks")
    if module in sys.stdlib_module_names or module in _TAKEN_MODULES:
        raise NameRefused(
            name,
            f"would hide the module {module}, which exists already",
            f"choose another name, for example {name}-tasks",
        )


def _refuse_class(name: str, cls: str) -> None:
    if cls in _TAKEN_CLASSES or hasattr(builtins, cls):
        raise NameRefused(
            name,
            f"would make a class {cls}, a name that is taken",
            f"choose another name, for example {name}-tasks",
        )
