"""Reads what has come into a topic since the last look."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from core_messaging.kafka.topic_reader import Span, Spans, TopicReader
from core_messaging.records import Record, TopicPartition


class TopicTail:
    """What was read of one topic so far. It keeps offsets and no record."""

    def __init__(self, reader: TopicReader) -> None:
        self._reader = reader
        self._read: dict[TopicPartition, int] = {}  # the offset up to which a partition was read

    def pass_over(self, spans: Spans) -> None:
        """Take *spans* for read."""
        self._read |= {source: span.end for source, span in spans.items()}

    async def new(self, spans: Spans) -> AsyncIterator[Sequence[Record]]:
        """All records of *spans* that were not read before, each partition in its order. Raises BrokerError."""
        async for records in self._reader.read(
            {source: self._left(source, span) for source, span in spans.items()}
        ):
            yield records
        self.pass_over(spans)

    def _left(self, source: TopicPartition, span: Span) -> Span:
        read = self._read.get(source, 0)
        # Beyond the end: the topic was made anew.
        return Span(span.begin if read > span.end else max(span.begin, read), span.end)
