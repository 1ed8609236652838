"""What a person on call asks and does: async functions that return plain values.

The command line and a program of one's own use the same functions.
"""
