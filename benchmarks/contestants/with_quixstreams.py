"""Quix Streams: a streaming dataframe over librdkafka; one message after the other."""

from __future__ import annotations

import tempfile
import threading
from typing import Any
from uuid import uuid4

from quixstreams import Application

from benchmarks.contestants.handlers import plain
from benchmarks.tally import Tally
from benchmarks.task import Task


def single(task: Task, tally: Tally) -> None:
    """``update`` with a plain function, JSON both ways, commits every second (at least once)."""
    handle = plain(task, tally)
    with tempfile.TemporaryDirectory() as folder:
        app = Application(
            broker_address=task.address,
            consumer_group=uuid4().hex,
            auto_offset_reset="earliest",
            commit_interval=1.0,
            state_dir=folder,
            auto_create_topics=False,
            loglevel="ERROR",
        )
        frame = app.dataframe(app.topic(task.topic, value_deserializer="json"))
        if task.output:
            frame = frame.apply(handle).to_topic(app.topic(task.output, value_serializer="json"))
        else:
            frame = frame.update(handle)
        threading.Thread(target=_stop, args=(app, tally), daemon=True).start()
        app.run()


def _stop(app: Any, tally: Tally) -> None:
    tally.complete.wait()
    app.stop()
