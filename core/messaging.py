"""``from core.messaging import worker``: everything ``core_messaging`` exports, under the short path.

Re-exports only. A project with a ``core`` package of its own imports ``core_messaging`` and loses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import core_messaging

if TYPE_CHECKING:
    from core_messaging import *  # noqa: F403 - the one list of names is core_messaging.__all__

__all__ = core_messaging.__all__


if not TYPE_CHECKING:  # see core_messaging

    def __getattr__(name: str) -> Any:
        return getattr(core_messaging, name)
