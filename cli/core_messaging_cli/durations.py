"""Reads a duration of the command line: ``90s``, ``10m``, ``2h``, ``1d``."""

from __future__ import annotations

import re

import click

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds_in(option: str, text: str) -> float:
    """Return the seconds in *text*, the value of *option*. Raises click.UsageError."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None or int(found[1]) == 0:
        raise click.UsageError(f"{option} {text!r} is no time; write 90s, 10m, 2h or 1d")
    return float(int(found[1]) * UNITS[found[2]])
