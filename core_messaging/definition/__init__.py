"""Checks the definition of a worker: its methods and signatures, the type of its messages, names, and JSON values."""
