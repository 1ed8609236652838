"""Shortens tracebacks for the log and removes the frames of this library."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from core_messaging.errors import CoreMessagingError, text_of
from core_messaging.text.printable import short

Say = Callable[[str], str]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

# Packages whose frames come before the first frame of the user's code: they call it.
_RUNNERS = frozenset({"core_messaging", "asyncio", "aiokafka", "concurrent", "threading", "pluggy"})
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})

NOWHERE = ("", 0)

MOST_FRAMES = 50  # frames of one exception; the middle of a longer stack is left out
MOST_CAUSES = 10  # exceptions in one traceback
MOST_TEXT = 1_000  # characters of the message of one exception

_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"


def exc_info_of(error: BaseException) -> ExcInfo:
    """Return *error* as logging takes it, from the first frame of the user's code on. The error is not changed."""
    return type(error), error, trimmed(error, error.__traceback__)


def trimmed(error: BaseException, trace: TracebackType | None) -> TracebackType | None:
    """Return *trace* of *error* without this library's frames. If there are no others, keep it: the bug may be ours."""
    kept = list(_kept(trace))
    if not kept and not isinstance(error, CoreMessagingError):
        return trace
    following = None
    for each in reversed(kept):
        following = TracebackType(following, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return following


def kind_of(error: BaseException, depth: int = 3) -> tuple[object, ...]:
    """Return what makes two failures the same: their type, and the place in the user's code that raised them.

    For an exception group, add those of its members, *depth* groups deep.
    """
    inner = error.exceptions[:MOST_CAUSES] if depth and isinstance(error, BaseExceptionGroup) else ()
    members = (kind_of(member, depth - 1) for member in inner)
    return (type(error).__qualname__, *_place(error), *members)


def comes_from_the_user(error: BaseException) -> bool:
    """Whether code outside of this library raised *error* or its cause."""
    return _place(error) != NOWHERE


def cause_and_place(error: BaseException) -> str:
    """What an import raised, and the line of the user's code that raised it, as one short line."""
    text = " ".join((error.msg if isinstance(error, SyntaxError) else text_of(error)).split())
    cause = f"{type(error).__name__}: {text}" if text else type(error).__name__
    place = place_of(error)
    return f"{cause} ({place})" if place else cause


def place_of(error: BaseException) -> str:
    """Return the innermost line of the user's code that raised *error*, or that has the syntax error: ``src/y.py:12``.

    Return "" if there is none.
    """
    if isinstance(error, SyntaxError) and error.filename and not error.filename.startswith(_INSTALLED):
        file, line = error.filename, error.lineno or 0
    else:
        file, line = _innermost(error.__traceback__)
    if not file or file.startswith(("<", *_INSTALLED)):
        return ""
    return f"{_from_here(file)}:{line}"


def _from_here(file: str) -> str:
    """Return *file* relative to the current folder if it is below that."""
    path = Path(file)
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return file


def _place(error: BaseException) -> tuple[str, int]:
    """Return where *error* was raised. If this library raised it because of another error, return the place of that."""
    place, causes = _innermost(error.__traceback__), 0
    while place == NOWHERE and error.__cause__ is not None and causes < MOST_CAUSES:
        error, causes = error.__cause__, causes + 1
        place = _innermost(error.__traceback__)
    return place


def _innermost(trace: TracebackType | None) -> tuple[str, int]:
    """Return file and line of the innermost frame of the user's code; if there is none, of an installed package."""
    found = NOWHERE
    own = False
    for each in _kept(trace):
        file = each.tb_frame.f_code.co_filename
        if file.startswith("<frozen importlib"):
            continue
        mine = not file.startswith(_INSTALLED)
        if mine or not own:
            found, own = (file, each.tb_lineno), mine
    return found


def _kept(trace: TracebackType | None) -> Iterator[TracebackType]:
    begun = False
    while trace is not None:
        package = _package(trace.tb_frame)
        begun = begun or package not in _RUNNERS
        if begun and package != "core_messaging":
            yield trace
        trace = trace.tb_next


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def lines_of(error: BaseException, trace: TracebackType | None, say: Say = short) -> str:
    """Return the traceback of *error* with its causes and groups, as Python writes it. *say* makes its texts printable."""
    return "\n".join(_chain(error, trace, say, set()))


def _chain(error: BaseException, trace: TracebackType | None, say: Say, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before, joint = error.__cause__, _CAUSE
    if before is None and not error.__suppress_context__:
        before, joint = error.__context__, _CONTEXT
    if before is not None and id(before) not in seen and len(seen) < MOST_CAUSES:
        yield from _chain(before, _of_a_cause(before), say, seen)
        yield from ("", joint, "")
    yield from _one(error, trace, say)
    if isinstance(error, BaseExceptionGroup):
        yield from _members(error, say, seen)


def _members(group: BaseExceptionGroup[Any], say: Say, seen: set[int]) -> Iterator[str]:
    for number, member in enumerate(group.exceptions, start=1):
        if len(seen) >= MOST_CAUSES:
            yield f"  +-- {len(group.exceptions) - number + 1} more"
            return
        yield f"  +-- {number} of {len(group.exceptions)}"
        for line in _chain(member, _of_a_cause(member), say, seen):
            yield f"  | {line}"


def _of_a_cause(error: BaseException) -> TracebackType | None:
    """Return the traceback of a cause; None if it has frames of this library only, which do not help there."""
    kept = trimmed(error, error.__traceback__)
    return None if kept is error.__traceback__ and not list(_kept(kept)) else kept


def _one(error: BaseException, trace: TracebackType | None, say: Say) -> Iterator[str]:
    if trace is not None:
        yield "Traceback (most recent call last):"
        for frame in _stack(trace):
            yield from frame.rstrip("\n").split("\n")
    yield _last_line(error, say)
    for note in _notes(error):
        yield say(note)


def _stack(trace: TracebackType) -> list[str]:
    frames = traceback.StackSummary.extract(traceback.walk_tb(trace)).format()
    left = len(frames) - MOST_FRAMES
    if left <= 0:
        return frames
    half = MOST_FRAMES // 2
    return [*frames[:half], f"  ... {left} more frames ...", *frames[-half:]]


def _last_line(error: BaseException, say: Say) -> str:
    kind = type(error)
    name = (
        kind.__qualname__
        if kind.__module__ in {"builtins", "__main__"}
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    text = say(short(text_of(error), MOST_TEXT))
    return f"{name}: {text}" if text else name


def _notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", ())
    return [short(str(note), MOST_TEXT) for note in notes] if isinstance(notes, list | tuple) else []
