"""Knows the secrets of this process and hides them in every line that it writes."""

from __future__ import annotations

import re
from collections.abc import Mapping

HIDDEN = "**********"
SHORTEST = 6  # characters; a shorter secret may be part of an ordinary word, and the log would be unreadable without it

_known: set[str] = set()

_NAMES = r"password|passwd|passphrase|secret|token|api_?key|private_?key|credential"
# How pydantic shows the invalid value of a field (also where its lines were joined to one), and that of a whole model.
_OF_A_FIELD = re.compile(
    rf"(?P<before>(?:{_NAMES})[^\]]*?)input_value=.*?(?=, input_type=)", re.IGNORECASE | re.DOTALL
)
_OF_A_MODEL = re.compile(rf"input_value=(?=[^\n]*(?:{_NAMES}))[^\n]*?(?=, input_type=)", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a setting or variable called *name* holds a secret."""
    return re.search(_NAMES, name, re.IGNORECASE) is not None


def keep_secret(secret: str) -> None:
    """Hide *secret* from now on."""
    if len(secret) >= SHORTEST:
        _known.add(secret)


def keep_secrets_of(variables: Mapping[str, str]) -> None:
    """Hide the values of those environment *variables* that hold secrets."""
    for name, value in variables.items():
        if is_secret_name(name):
            keep_secret(value)


def hidden(text: str) -> str:
    """Return *text* with stars in place of each secret."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    if "input_value=" in text:
        text = _OF_A_FIELD.sub(rf"\g<before>input_value={HIDDEN}", text)
        text = _OF_A_MODEL.sub(f"input_value={HIDDEN}", text)
    return text
