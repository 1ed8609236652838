"""What a line may show: printable and short texts, tracebacks without our frames, no secrets, and how often."""
