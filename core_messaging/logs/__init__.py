"""Prepares log lines: tracebacks without this library's frames, no secrets, and a limit for lines of one kind."""
