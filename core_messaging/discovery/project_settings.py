"""Finds the project's settings class, and refuses settings that would be ignored without a message."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from core_messaging.definition.setting_names import Misspelt, misspelt, unread_constants
from core_messaging.errors import ConfigurationError, text_of
from core_messaging.logs.secrecy import HIDDEN, hidden, is_secret_name, keep_secrets_of
from core_messaging.logs.tracebacks import place_of
from core_messaging.settings import Settings, environment

if TYPE_CHECKING:
    from core_messaging.discovery.project import Project

MODULE, FILE, FOLDER = "src.settings", Path("src/settings.py"), Path("src/settings")
CONVENTION = "AppSettings"
_KEYS = ("plugins", "workers")  # the keys of [tool.core] in pyproject.toml that are read
_ALIKE = 0.8  # how similar another key must be to one of them (of 1) to be taken for a misspelling


def settings_in(project: Project) -> Settings:
    """Return the settings of *project*. Raises ConfigurationError."""
    keep_secrets_of(environment(Settings))  # first, so that no error shows one of them
    _refuse_unread_keys(project.tool_core())
    where = _place_of(project.root)
    if where is None:
        return _checked(_instance(Settings, "the environment"))
    project.importable()
    module = _imported(where)
    chosen = _chosen(module, where)
    made = chosen if isinstance(chosen, Settings) else _instance(chosen, str(where))
    return _checked(made)


def _refuse_unread_keys(table: Mapping[str, Any]) -> None:
    """Refuse settings in [tool.core], where they are not read. Keys that resemble none of ours may be of another tool."""
    ours = Settings.model_fields
    meant = {word.name: word.meant for word in misspelt(table, ours)} | {
        name: name.lower() for name in table if name.lower() in ours
    }
    for name, setting in meant.items():
        raise ConfigurationError(
            f"pyproject.toml: {name} in [tool.core] is not read; set {setting.upper()} in the environment or .env, or "
            f"{setting} in src/settings.py"
        )
    for name in table:
        if name not in _KEYS and (nearest := get_close_matches(name, _KEYS, n=1, cutoff=_ALIKE)):
            raise ConfigurationError(
                f"pyproject.toml: {name} in [tool.core] is not read; did you mean {nearest[0]}?"
            )


def _place_of(root: Path) -> Path | None:
    """Return the file of the settings, relative to *root*; None if there is none. Raises ConfigurationError."""
    file, folder = (root / FILE).is_file(), root / FOLDER
    package = (folder / "__init__.py").is_file()
    if file and package:
        raise ConfigurationError(
            f"there are {FILE} and {FOLDER}/, and Python reads the folder only; remove one of them"
        )
    if not file and not package and any(folder.glob("*.py")):
        raise ConfigurationError(
            f"{FOLDER}/ has no __init__.py, so no settings are read from it; import {CONVENTION} in {FOLDER}/__init__.py"
        )
    return FILE if file else FOLDER / "__init__.py" if package else None


def _imported(where: Path) -> ModuleType:
    try:
        return importlib.import_module(MODULE)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also SystemExit, which would end a command without a message
        place = place_of(error) or where
        raise ConfigurationError(
            f"{where} cannot be imported: {type(error).__name__}: {hidden(text_of(error))} ({place}); correct it"
        ) from error


def _chosen(module: ModuleType, where: Path) -> type[Settings] | Settings:
    """Return the settings class of *module*, or the one instance that it has made of it."""
    classes = _classes_in(module)
    if len(classes) > 1:
        names = ", ".join(sorted(each.__name__ for each in classes))
        raise ConfigurationError(
            f"{where} has several settings classes ({names}); call the one to use {CONVENTION}"
        )
    instances = {id(each): each for each in _instances_in(module) if not classes or type(each) is classes[0]}
    if len(instances) == 1:
        return next(iter(instances.values()))
    if not classes:
        _refuse_others(module, where)
    return classes[0] if classes else Settings


def _classes_in(module: ModuleType) -> list[type[Settings]]:
    """Return the class called AppSettings, else those without a subclass; those of the module before imported ones."""
    named: Any = vars(module).get(CONVENTION)
    if _is_settings(named):
        return [named]
    found = [thing for thing in vars(module).values() if _is_settings(thing)]
    return _most_derived([each for each in found if each.__module__ == module.__name__] or found)


def _instances_in(module: ModuleType) -> Iterator[Settings]:
    return (thing for thing in vars(module).values() if issubclass(type(thing), Settings))


def _is_settings(thing: Any) -> bool:
    # type() is used because the __class__ of a lazy object of another library may raise.
    return issubclass(type(thing), type) and issubclass(thing, Settings) and thing is not Settings


def _most_derived(classes: list[Any]) -> list[Any]:
    """Return *classes* without those that have a subclass among them."""
    unique = list(dict.fromkeys(classes))
    return [each for each in unique if not any(o is not each and issubclass(o, each) for o in unique)]


def _refuse_others(module: ModuleType, where: Path) -> None:
    """Refuse names that are spelled like our settings where they are not read. Raises ConfigurationError."""
    if constants := unread_constants(vars(module), Settings.model_fields):
        raise ConfigurationError(
            f"{where} sets {', '.join(constants)} outside of a settings class, where it is not read; write it in a class "
            f"{CONVENTION}(Settings), with Settings from core.settings"
        )
    for name, thing in vars(module).items():
        if ours := _settings_of_another(thing):
            raise ConfigurationError(
                f"{where}: {name} sets {', '.join(ours)} and is not read, because it is no subclass of Settings; write "
                f"class {name}(Settings), with Settings from core.settings"
            )


def _settings_of_another(thing: Any) -> list[str]:
    """Return the fields of *thing* that are spelled like ours, if it is another pydantic model; else an empty list."""
    is_class = issubclass(type(thing), type) and thing is not Settings
    fields = getattr(thing, "model_fields", None) if is_class else None
    return sorted(set(fields) & set(Settings.model_fields)) if isinstance(fields, dict) else []


def _checked(settings: Settings) -> Settings:
    """Return *settings*. Raises ConfigurationError where a setting is misspelt or is no field: its default would be used."""
    for name in Settings.model_fields.keys() - type(settings).model_fields:
        raise ConfigurationError(
            f"{name} in the settings class is a ClassVar, so it is no setting and is not read; write it without ClassVar"
        )
    for word, where in _misspelt_in(settings):
        meant = word.meant if where == "the settings class" else _variable(settings, word.meant)
        raise ConfigurationError(
            f"{word.name} in {where} is no setting; did you mean {meant}? Write that, or set {meant} as well if both "
            "are meant"
        )
    return settings


def _misspelt_in(settings: Settings) -> Iterator[tuple[Misspelt, str]]:
    own, ours, given = type(settings).model_fields, Settings.model_fields, settings.model_fields_set
    in_class = {name for name in ours if own[name].default != ours[name].default}
    added = [name for name in own if name not in ours]
    in_capitals = [Misspelt(name, name.lower(), sure=True) for name in added if name.lower() in ours]
    for word in [*in_capitals, *misspelt(added, ours)]:
        if word.meant not in given | in_class:
            yield word, "the settings class"
    prefix = str(settings.model_config.get("env_prefix") or "").lower()
    names = {name.lower().removeprefix(prefix): name for name in environment(settings)}
    for word in misspelt((name for name in names if name not in own), ours):
        if word.meant not in (given if word.sure else given | in_class):
            name = names[word.name]
            yield (
                Misspelt(name, word.meant, word.sure),
                "the environment" if name in os.environ else ".env",
            )


def _variable(settings: Settings, name: str) -> str:
    return f"{settings.model_config.get('env_prefix') or ''}{name}".upper()


def _instance(settings: type[Settings], where: str) -> Settings:
    try:
        return settings()
    except OSError as error:
        raise ConfigurationError(
            f"the settings in {where} cannot be read: {error}; let this user read the file, or remove it"
        ) from error
    except ValueError as error:
        # errors() names fields and reasons. str(error) would also show the value, which may be a secret.
        details: list[dict[str, Any]] = getattr(error, "errors", list)()
        reasons = "; ".join(map(_reason, details))
        raise ConfigurationError(
            f"the settings in {where} are wrong: {reasons or type(error).__name__}; correct them"
        ) from None


def _reason(details: dict[str, Any]) -> str:
    """Return what is wrong with one setting.

    The message of a project's own validator may hold the value. So for a secret, only the kind of error is shown.
    """
    name = ".".join(map(str, details["loc"])).upper()
    from_validator = details["type"] in ("value_error", "assertion_error")
    if from_validator and is_secret_name(name):
        return f"{name}: {HIDDEN} is not valid ({details['type']})"
    return f"{name}: {hidden(str(details['msg']))}"
