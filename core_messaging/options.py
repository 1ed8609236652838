"""The values that options of a worker may have."""

from __future__ import annotations

from typing import Literal

Ordering = Literal["key", "partition", "none"]
OnExhausted = Literal["skip", "stop"]
OnDeadLetter = Literal["continue", "follow"]
OnFullRetries = Literal["wait", "dead-letter"]
Backoff = Literal["exponential", "linear", "fixed"]
