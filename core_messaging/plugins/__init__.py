"""Plugins: found, checked, configured, and called apart from each other."""

from core_messaging.plugins.unavailable import PluginUnavailable

__all__ = ["PluginUnavailable"]
