"""Completes names of workers in a shell."""

from __future__ import annotations

import contextlib
import io

import click
from click.shell_completion import CompletionItem


def complete_workers(
    context: click.Context,  # noqa: ARG001 - as click calls it
    parameter: click.Parameter,  # noqa: ARG001 - as above
    incomplete: str,
) -> list[CompletionItem]:
    """Propose the workers whose names begin with *incomplete*, or files if it looks like a path."""
    if "/" in incomplete or incomplete.startswith("."):
        return [CompletionItem(incomplete, type="file")]
    names = sorted({name for name in _names() if name.startswith(incomplete)})
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]


def _names() -> list[str]:
    # Imported only when a shell asks. Output of the modules is dropped: it is no completion.
    from core_messaging.discovery.catalog import discover  # noqa: PLC0415

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return [row.name for row in discover().listing() if row.can_run]
