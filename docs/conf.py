"""The documentation site: ``make docs`` builds it, with warnings as errors."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "site"))

project = "core-messaging"
author = "the authors of core-messaging"
release = version = version_of("core-messaging")
copyright = author  # noqa: A001 - Sphinx reads it by this name

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "generated_pages",
    "links_out_of_docs",
]
exclude_patterns = ["site", "pictures"]
html_theme = "furo"
html_title = "core-messaging"
html_static_path: list[str] = []
html_copy_source = False
html_show_sphinx = False

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
# What a signature names and no page describes: the standard library, other libraries, and our private types.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!core_messaging\.errors\.).*")]
