"""What producers do before the broker has a record: checks and a shared connection."""
