"""The site: `make docs` builds it from the pages of this folder into site/.

The pages are plain Markdown and read as well without the site. Its navigation is made from
index.md: each section there is a caption, each link to a page an entry.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

from sparring import __version__ as release

HERE = Path(__file__).parent
project = "sparring"
author = "The sparring authors"
copyright = author
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"sparring {release}"
html_copy_source = False
html_show_sphinx = False
html_math_renderer = "mathml"
html_theme_options = {"navigation_with_keys": True}
# A recipe's text as it stands in a run, a line of the shell with a comment: no lexer knows all.
suppress_warnings = ["misc.highlighting_failure"]


def navigation(index: str) -> str:
    """The tables of contents that the links of index.md are, as MyST directives."""
    made = []
    for section in re.split(r"^## ", index, flags=re.M)[1:]:
        caption, body = section.split("\n", 1)
        pages = [p for p in re.findall(r"\]\(([^)#]+)\.md\)", body) if not p.startswith("..")]
        entries = "\n".join(pages)
        made.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n")
    return "\n".join(made)


def prepare(app: Sphinx, name: str, source: list[str]) -> None:
    """A page as Sphinx reads it: the first with its navigation; pages outside are downloads."""
    text = source[0] + ("\n" + navigation(source[0]) if name == "index" else "")
    source[0] = re.sub(r"\[([^]]+)\]\((\.\./[A-Z]+\.md)\)", r"{download}`\1 <\2>`", text)


def mathml(self: HTML5Translator, node: nodes.Element) -> None:
    """A formula as MathML, which browsers draw by themselves: no script from elsewhere."""
    block = isinstance(node, nodes.math_block)
    self.body.append(latex2mathml.tex2mathml(node.astext(), as_block=block))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.connect("source-read", prepare)
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
