"""From a handler's outcome to the verdict: done, a retry, or a dead letter. Every path of a message ends here."""

from __future__ import annotations

from core_messaging.engine.callbacks import Callbacks
from core_messaging.engine.components import Components
from core_messaging.engine.counters import drop_if_gone
from core_messaging.engine.dead_letter_limiter import DeadLetterLimiter
from core_messaging.engine.dead_letters import DeadLetters
from core_messaging.engine.failure_path import FailurePath
from core_messaging.engine.key_blocker import KeyBlocker
from core_messaging.engine.message_logger import MessageLogger
from core_messaging.engine.record_sender import RecordSender
from core_messaging.engine.result_publisher import ResultPublisher
from core_messaging.engine.success_path import Succeeded, SuccessPath
from core_messaging.rules.job import GivingUp, HeldBack, Job, Sending


class Settlement:
    """The paths that a message of one worker takes after its handler.

    ``succeeded`` is called when the handler has returned. ``failure_path`` is for a handler that has raised, and for a
    message that cannot be decoded. ``key_blocker`` is None unless the worker has ``on_dead_letter = "follow"``, and
    ``limiter`` unless it has a ``dlq_limit``. ``needs_no_job``: nothing is left to do for a message that succeeds, except for
    hooks that need no job.
    """

    def __init__(self, components: Components) -> None:
        log = MessageLogger(components.worker_log, components.config, components.loop.time)
        self.message_logger = log
        self.callbacks = callbacks = Callbacks(components, log)
        self._sender = sender = RecordSender(components, log)
        self._dead_letters = dead_letters = DeadLetters(components, callbacks, log, sender)
        follows = components.config.on_dead_letter == "follow"
        self.key_blocker = KeyBlocker(components, dead_letters) if follows else None
        limit = components.config.dlq_limit
        self.limiter = None if limit is None else DeadLetterLimiter(components, limit)
        self.failure_path = FailurePath(
            components, callbacks, log, dead_letters, self.key_blocker, self.limiter
        )
        self.success_path = success_path = SuccessPath(components, callbacks)
        self._results = ResultPublisher(components, sender, success_path, self.failure_path)
        publishes = components.config.output_topic is not None
        self.succeeded: Succeeded = self._results.publish if publishes else success_path.finish
        self.needs_no_job = success_path.needs_no_job and self.key_blocker is None and not publishes
        self._counters = components.counters

    async def resume(self, job: Job, sending: Sending | GivingUp | HeldBack) -> None:
        """Go on with *job*: the broker has answered, or what *job* waits for is due: a record, giving up, or a new beginning."""
        if drop_if_gone(job, self._counters):
            self._sender.forget(job)
        elif isinstance(sending, HeldBack):
            self.failure_path.begin_anew(job)
        elif isinstance(sending, GivingUp):
            await self.failure_path.resume(job, sending.error)
        elif sending.error is None:
            await self._results.resume(job, sending)
        else:
            await self._dead_letters.resume(job, sending, sending.error)
