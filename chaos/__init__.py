"""Runs several workers on a real cluster under faults, and checks a ledger of what they did."""
