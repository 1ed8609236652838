"""Removes the frames of an error while its message waits for a retry; the text of the error is kept.

A traceback keeps every local variable of the handler in memory: 300 messages of nine bytes that waited for a retry took
600 MB.
"""

from __future__ import annotations


def without_frames(error: BaseException | None) -> None:
    """Remove the frames of *error*, of its causes, and of the members of a group. Changes the error itself."""
    todo, seen = [error], set[int]()
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = None
        if isinstance(each, AttributeError):
            each.obj = None  # the object that lacks the attribute; it may be large
        todo += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            todo += each.exceptions
