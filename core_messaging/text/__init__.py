"""Texts for people: of strangers, made printable and short; numbers in sentences. Pure."""
