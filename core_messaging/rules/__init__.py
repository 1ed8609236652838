"""Rules that decide about data. They know no Kafka, no clock and no task. Time is an argument."""
