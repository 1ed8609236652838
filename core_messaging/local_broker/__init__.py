"""Broker processes to try things on: the embedded one, and Apache Kafka."""
