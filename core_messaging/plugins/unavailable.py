"""What a plugin raises where something optional is not installed."""

from __future__ import annotations


class PluginUnavailable(ImportError):
    """Raised by a plugin while it is imported: it works, but something optional is not installed."""
