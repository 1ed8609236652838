"""What an assignment may still do."""

from __future__ import annotations

import secrets
from enum import Enum


class AssignmentState(Enum):
    """The state of one assignment. It goes one way: open, draining, fenced."""

    OPEN = "open"
    DRAINING = "draining"  # being revoked: nothing starts, and what runs may finish and be committed
    FENCED = "fenced"  # gone: results are dropped, because a duplicate is better than a loss


FENCED = AssignmentState.FENCED  # looked up once, because an enum's member costs as much as a call


def new_member() -> int:
    """Return a random name for this process, which no other process has."""
    return secrets.randbits(32) or 1
