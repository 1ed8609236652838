"""Secrets that this process knows, so that no line it writes shows one, whoever put it there."""

from __future__ import annotations

HIDDEN = "**********"
SHORTEST = (
    6  # characters; a shorter secret is also a part of ordinary words, and hiding it would garble the log
)

_known: set[str] = set()


def keep_secret(secret: str) -> None:
    """Hide *secret* from now on."""
    if len(secret) >= SHORTEST:
        _known.add(secret)


def hidden(text: str) -> str:
    """*text* with stars for each secret in it."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text
