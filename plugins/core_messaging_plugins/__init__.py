"""Built-in plugins. They come through the same entry-point group as anybody's."""
