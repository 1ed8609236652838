"""Ratios to raw aiokafka and to bare coroutines, in one run, on one broker."""
