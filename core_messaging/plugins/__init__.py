"""Finds, checks and configures plugins, and calls their hooks isolated from each other."""

from core_messaging.plugins.unavailable import PluginUnavailable

__all__ = ["PluginUnavailable"]
