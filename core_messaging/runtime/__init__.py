"""One process with its workers, several processes, signals, the event loop, and how the log is set up."""
