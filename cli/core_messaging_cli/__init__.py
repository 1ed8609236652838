"""The ``core`` command."""
