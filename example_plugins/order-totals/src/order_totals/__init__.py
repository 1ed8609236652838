"""Order totals, worked out from a Kafka topic."""
