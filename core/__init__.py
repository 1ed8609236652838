"""Namespace shared with other distributions (and projects) that install into ``core``."""

__path__ = __import__("pkgutil").extend_path(__path__, __name__)
