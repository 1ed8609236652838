"""Observes what the handlers of one simulated process do with their messages, and writes it into the history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from core_messaging.config import WorkerConfig
from core_messaging.context import Context
from core_messaging.errors import PartialBatchError
from core_messaging.observers import Observers
from core_messaging.records import TopicPartition
from core_messaging.testing.faults import ProcessDied
from core_messaging.testing.history import History, Place
from core_messaging.testing.result_marks import mark


class HandlerProbe:
    """Observes the handlers of the process called *who*.

    *clock* returns the time of the event loop in seconds. *die* ends the process.
    """

    def __init__(
        self,
        who: str,
        config: WorkerConfig,
        history: History,
        clock: Callable[[], float],
        die: Callable[[], None],
    ) -> None:
        self._who = who
        self._config = config
        self._history = history
        self._clock = clock
        self._die = die

    def observers(self) -> Observers:
        """Return the observers for the engine."""
        # With a dead-letter queue, only the records in it count, not the calls of on_error.
        skips = self._config.dlq_topic is None and self._config.on_exhausted == "skip"
        return Observers(wrap_process=self._watch, on_error=self._skipped if skips else None)

    async def _watch(self, process: Any, _worker: Any, message: Any, context: Any) -> Any:
        contexts = context if isinstance(context, list) else [context]
        self._history.start(self._clock(), self._who, [_place(each) for each in contexts])
        try:
            result = await process(message, context)
        except ProcessDied:
            self._die()
            # A dead process does not go on.
            await asyncio.get_running_loop().create_future()
        except PartialBatchError as error:
            if isinstance(context, list):
                self._returned((each, None) for each in _succeeded(contexts, error))
            raise
        self._returned([(context, result)] if context is not contexts else _answers(contexts, result))
        return result

    def _returned(self, answers: Iterable[tuple[Context, Any]]) -> None:
        for context, result in answers:
            if result is None or self._config.output_topic is None:
                self._history.finish(self._clock(), self._who, _place(context))
            else:
                # The message is finished when its result is stored. The broker knows it by the mark.
                mark(context)
                self._history.answer(self._clock(), self._who, _place(context))

    def _skipped(self, *, context: Context, **_facts: Any) -> None:
        self._history.skip(self._clock(), self._who, _place(context))


def _succeeded(contexts: Sequence[Context], error: PartialBatchError) -> list[Context]:
    """Return the contexts that *error* does not name; none if it names no message of the batch: then nothing is known."""
    failed = error.errors.keys() & set(range(len(contexts)))
    return [context for index, context in enumerate(contexts) if failed and index not in failed]


def _answers(contexts: Sequence[Context], results: Any) -> list[tuple[Context, Any]]:
    """Return each context with its result; none if the number of *results* is wrong: that is a failed attempt."""
    if results is None:
        return [(context, None) for context in contexts]
    fits = hasattr(results, "__len__") and len(results) == len(contexts)
    return list(zip(contexts, results, strict=True)) if fits else []


def _place(context: Context) -> Place:
    return TopicPartition(context.topic, context.partition), context.offset
