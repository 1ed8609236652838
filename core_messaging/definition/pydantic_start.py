"""Switches pydantic's plugins off if an installed distribution cannot be read. Import it before the first model is made.

At the first model, pydantic looks for its plugins in every installed distribution. One that cannot be read would end the
program there.
"""

from __future__ import annotations

import os

from pydantic import TypeAdapter

try:
    TypeAdapter(bool)
except Exception:  # reading the metadata of another distribution may raise anything
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
