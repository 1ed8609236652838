"""Built-in plugins. They use the same entry-point group as all others."""
