"""Brokers behind the seam in ``core_messaging.broker``, and broker processes to try things on."""
