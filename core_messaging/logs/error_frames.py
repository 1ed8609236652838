"""What is kept of an error while its message waits: what it says, and not the frames it came through.

A traceback keeps every local of the handler alive: 300 messages of nine bytes that waited for a retry took 600 MB.
"""

from __future__ import annotations


def without_frames(error: BaseException | None) -> None:
    """Let go of the frames of *error*, of what caused it, and of the members of a group."""
    todo, seen = [error], set[int]()
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = None
        if isinstance(each, AttributeError):
            each.obj = None  # the object that lacks the attribute, which may be anything
        todo += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            todo += each.exceptions
