"""The error that a plugin raises where an optional package is not installed."""

from __future__ import annotations


class PluginUnavailable(ImportError):
    """Raised by a plugin while it is imported: the plugin is correct, but an optional package is not installed."""
