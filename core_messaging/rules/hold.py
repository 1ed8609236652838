"""Who holds a partition, and how firmly."""

from __future__ import annotations

import secrets
from enum import Enum


class Hold(Enum):
    """Of one assignment; it goes one way."""

    OPEN = "open"
    DRAINING = "draining"  # being revoked: what runs may finish and be committed, nothing new starts
    FENCED = "fenced"  # gone: results are dropped, a duplicate beats a loss


FENCED = Hold.FENCED  # looked up once: an enum's member costs as much as a call


def new_member() -> int:
    """A name for this process, which no other one has."""
    return secrets.randbits(32) or 1
