"""Computes order totals from a Kafka topic."""
