"""``from core.settings import Settings``: the base class of a project's settings. Re-exports only."""

from core_messaging.settings import Settings

__all__ = ["Settings"]
