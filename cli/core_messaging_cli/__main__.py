"""``python -m core_messaging_cli``: the ``core`` command where it is not on the path."""

from core_messaging_cli.main import main

if __name__ == "__main__":
    main()
