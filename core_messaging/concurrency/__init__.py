"""Tasks, threads and processes: whose cancellation it is, what ends a program, what a fork inherits."""
