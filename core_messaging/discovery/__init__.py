"""Which workers and settings there are: installed packages, the project, and what is wrong with each."""
