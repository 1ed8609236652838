"""``python -m core_messaging``: the ``core`` command."""

from importlib import import_module

if __name__ == "__main__":
    # Imported by name: the library does not depend on the command line, which is in the same distribution.
    import_module("core_messaging_cli.main").main()
