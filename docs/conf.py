"""The documentation site; `make docs` builds it without a network, and any warning fails it."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(Path(__file__).parent / "_ext"), str(ROOT / "src")]

project = "stronglens"
author = "The strong-lens pipeline developers"
copyright = author  # noqa: A001 - Sphinx's name
release = version_of("stronglens")

extensions = [
    "command_pages",
    "repository_links",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "smartquotes"]
myst_heading_anchors = 4
numpydoc_show_class_members = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
copybutton_prompt_text = "$ "

html_theme = "pydata_sphinx_theme"
html_title = "stronglens"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_show_sourcelink = False
