"""Checks the names of topics, groups, workers and codecs."""

from __future__ import annotations

import re
from functools import lru_cache

# The limit of brokers: org.apache.kafka.common.internals.Topic, legal characters and MAX_NAME_LENGTH.
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
LONGEST_NAME = 249

TOPIC_RULE = "1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-'"


def plain(name: str) -> str:
    """Return *name* as a plain str.

    A member of ``class Topics(str, Enum)`` is formatted as ``Topics.IN``; this function returns its value.
    """
    return str.__str__(name)


@lru_cache(1000)
def is_topic(name: str) -> bool:
    """Whether a broker accepts *name* as the name of a topic."""
    return _TOPIC.fullmatch(name) is not None and name not in (".", "..")


def problem_of(name: str) -> str:
    """Return why *name* cannot be the name of a group, a worker or a codec; "" if it can."""
    if not name.strip():
        return "an empty name"
    if name != name.strip():
        return "a name with spaces around it"
    if not name.isprintable():
        return "a name with characters that cannot be printed"
    if len(name) > LONGEST_NAME:
        return f"a name of more than {LONGEST_NAME} characters"
    return ""
