"""The parts that producers share: the check of a record, and the connection."""
