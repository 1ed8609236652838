"""One module for each library. A contestant is a function of a Task and a Tally, run in a process of its own."""
