"""``python -m core_messaging``: the ``core`` command."""

from importlib import import_module

if __name__ == "__main__":
    # By its name: the library knows nothing of the command line, which comes in the same distribution.
    import_module("core_messaging_cli.main").main()
