"""Which topics a pattern matches at the moment, and what is to be said when that changes."""

from __future__ import annotations

from collections.abc import Iterable

from core_messaging.options import TopicPattern
from core_messaging.text.wording import counted

SHOWN = 10  # topics that a line names


class MatchedTopics:
    """The topics of a cluster that match *pattern*. ``names``: those of the last look; ``first``: those of the first look."""

    def __init__(self, pattern: TopicPattern) -> None:
        self._pattern = pattern
        self._looked = False
        self.names: tuple[str, ...] = ()
        self.first: frozenset[str] = frozenset()

    def look(self, topics: Iterable[str]) -> str | None:
        """Take in *topics*, all of the cluster. Return the line that tells what is new; None: nothing is."""
        topics = tuple(topics)
        before, self.names = set(self.names), self._pattern.found_in(topics)
        if not self._looked:
            self._looked, self.first = True, frozenset(self.names)
            return self._first_line(topics)
        added = [name for name in self.names if name not in before]
        gone = sorted(before.difference(self.names))
        parts = [f"{_named(added)} now {_match(added)}"] if added else []
        parts += [f"{_named(gone)} {'is' if len(gone) == 1 else 'are'} gone"] if gone else []
        return f"the pattern {self._pattern}: {', '.join(parts)}" if parts else None

    def _first_line(self, topics: tuple[str, ...]) -> str:
        left_out = sorted(set(topics) & {name for name in self._pattern.left_out if self._would_match(name)})
        without = (
            f"; {_named(left_out)} left out, because this worker or the runtime writes there"
            if left_out
            else ""
        )
        if not self.names:
            return f"no topic matches the pattern {self._pattern} yet; the worker waits for one{without}"
        return f"{_named(self.names)} {_match(self.names)} the pattern {self._pattern}{without}"

    def _would_match(self, name: str) -> bool:
        return TopicPattern(self._pattern.pattern).matches(name)


def _match(names: Iterable[str]) -> str:
    return "matches" if len(tuple(names)) == 1 else "match"


def _named(names: Iterable[str]) -> str:
    every = tuple(names)
    more = len(every) - SHOWN
    return ", ".join(every[:SHOWN]) + (f" and {counted(more, 'more topic')}" if more > 0 else "")
