"""Tasks and processes: who cancelled a task, which exits end the program, what a forked child may keep."""
