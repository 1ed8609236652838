"""A fleet of real workers on a real cluster while everything around it breaks, and a ledger that is checked."""
