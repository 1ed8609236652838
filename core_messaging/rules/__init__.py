"""Rules that decide about data. They know no Kafka, no clock and no task; time is an argument."""
