"""Work that waits until a time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import count
from typing import Generic, TypeVar

Work = TypeVar("Work")


class RetryQueue(Generic[Work]):
    """Jobs or batches that wait for their retries, the first due one first. Due times are seconds on the caller's clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Work]] = []
        self._sequence = count()  # keeps the order of arrival where due times are equal

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Work]:
        """All that waits, in no order."""
        return (work for _, _, work in self._heap)

    @property
    def next_due(self) -> float | None:
        """When the first one is due; None where none waits."""
        return self._heap[0][0] if self._heap else None

    def push(self, work: Work, due: float) -> None:
        """*work* waits until *due*."""
        heapq.heappush(self._heap, (due, next(self._sequence), work))

    def pop_due(self, now: float) -> Iterator[Work]:
        """Take out what is due at *now*, the first due first."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]

    def hasten(self, is_meant: Callable[[Work], bool], due: float) -> list[Work]:
        """What *is_meant* says yes to is due at *due*, if that is earlier. Returns it, in the order in which it was due."""
        meant = sorted(entry for entry in self._heap if entry[0] > due and is_meant(entry[2]))
        numbers = {number for _, number, _ in meant}
        kept = [entry for entry in self._heap if entry[1] not in numbers]
        self._heap = kept + [(due, number, work) for _, number, work in meant]
        heapq.heapify(self._heap)
        return [work for _, _, work in meant]

    def remove(self, is_removed: Callable[[Work], bool]) -> list[tuple[Work, float]]:
        """Take out what *is_removed* says yes to. Returns it with its due times."""
        removed = [(work, due) for due, _, work in self._heap if is_removed(work)]
        self._heap = [entry for entry in self._heap if not is_removed(entry[2])]
        heapq.heapify(self._heap)
        return removed

    def remove_longest_waiting(self, is_removed: Callable[[Work], bool], most: int) -> list[Work]:
        """Take out up to *most* of what *is_removed* says yes to, the longest waiting first."""
        numbers = set(sorted(number for _, number, work in self._heap if is_removed(work))[:most])
        removed = {number: work for _, number, work in self._heap if number in numbers}
        self._heap = [entry for entry in self._heap if entry[1] not in numbers]
        heapq.heapify(self._heap)
        return [removed[number] for number in sorted(numbers)]
