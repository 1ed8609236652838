"""The dashboard: workers, processes and dead letters in a browser. ``core dashboard`` starts it."""
