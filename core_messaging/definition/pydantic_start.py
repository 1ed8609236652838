"""pydantic looks for its plugins in every installed distribution, at the first model. One of a stranger that cannot be read
would end the program there, so pydantic goes without plugins then. Import this before the first model is made."""

from __future__ import annotations

import os

from pydantic import TypeAdapter

try:
    TypeAdapter(bool)
except Exception:  # whatever reading a stranger's metadata raises
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
