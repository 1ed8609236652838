"""Names of topics, groups, workers and codecs: plain text, and none that is empty or that nobody can write."""

from __future__ import annotations

import re
from functools import lru_cache

# A broker's limit: org.apache.kafka.common.internals.Topic, legal characters and MAX_NAME_LENGTH.
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
LONGEST_NAME = 249

TOPIC_RULE = "1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-'"


def plain(name: str) -> str:
    """*name* as a text and nothing else. ``class Topics(str, Enum)`` is formatted as ``Topics.IN`` by whoever gets it; this
    is its value."""
    return str.__str__(name)


@lru_cache(1000)
def is_topic(name: str) -> bool:
    """Whether a broker takes *name* for a topic."""
    return _TOPIC.fullmatch(name) is not None and name not in (".", "..")


def problem_of(name: str) -> str:
    """Why *name* is no name of a group, a worker or a codec; empty if it is one."""
    if not name.strip():
        return "an empty name"
    if name != name.strip():
        return "a name with spaces around it"
    if not name.isprintable():
        return "a name with characters that cannot be printed"
    if len(name) > LONGEST_NAME:
        return f"a name of more than {LONGEST_NAME} characters"
    return ""
