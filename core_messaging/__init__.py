"""core-messaging."""
