"""Small pages of tables that need nothing beside them, in light and dark, for desks and phones."""

from collections.abc import Iterable, Sequence

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

LONGEST_NUMBER = 40
"""Characters of a number with its range."""

_STYLE = """
:root { color-scheme: light dark; --text: #1b2430; --ground: #fff; --faint: #4a5766; --line: #d4dae1;
  --link: #0b5aa8; --warn: #fff4d6; --warn-edge: #b26a00; }
@media (prefers-color-scheme: dark) { :root { --text: #e8ecf1; --ground: #12161c; --faint: #aab5c2;
  --line: #39434f; --link: #85c2ff; --warn: #3a2e12; --warn-edge: #e0a030; } }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; color: var(--text);
  background: var(--ground); max-width: 84rem; margin: 0 auto; padding: 1.2rem 1.5rem 3rem; }
h1 { font-size: 1.45rem; margin: 0 0 0.4rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 0.6rem; }
p { margin: 0.4rem 0; max-width: 60rem; }
a { color: var(--link); }
.note { color: var(--faint); }
.warning { background: var(--warn); border-left: 4px solid var(--warn-edge); padding: 0.5rem 0.8rem; }
.cards { display: flex; flex-wrap: wrap; gap: 0.8rem; margin: 1rem 0; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 0.7rem 1rem; min-width: 9.5rem; }
.card .name, .card .range { color: var(--faint); font-size: 0.88rem; }
.card .value { font-size: 1.55rem; font-weight: 600; }
.card, table { font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: 0.3rem 0.8rem; text-align: right; vertical-align: top; }
th, td { border-bottom: 1px solid var(--line); }
th { vertical-align: bottom; color: var(--faint); font-weight: 600; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th.text, td.text { text-align: left; }
td.long { min-width: 14rem; }
.figures { display: grid; gap: 1rem; }
.figures { grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
figure img { display: block; width: 100%; height: 15rem; object-fit: contain; background: #fff; }
figcaption { padding: 0.4rem 0.8rem; font-size: 0.9rem; }
@media (max-width: 699px) {
  body { padding: 0.8rem 0.8rem 2rem; }
  .cards { display: grid; grid-template-columns: 1fr 1fr; gap: 0.5rem; }
  .card { min-width: 0; padding: 0.5rem 0.7rem; }
  .card .value { font-size: 1.25rem; }
  th, td { padding: 0.3rem 0.45rem; font-size: 0.9rem; }
}
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>{{ style }}</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
{% for part in parts %}
{{ part }}
{% endfor %}
</main>
</body>
</html>
"""

_BLOCKS = """
{%- macro heading(text) %}<h2>{{ text }}</h2>{% endmacro -%}
{%- macro paragraph(text, kind) %}<p{% if kind %} class="{{ kind }}"{% endif %}>{{ text }}</p>{% endmacro -%}
{%- macro link(text, address, about) %}<p><a href="{{ address }}">{{ text }}</a>{{ about }}</p>{% endmacro -%}
{%- macro cell(tag, content, kind) -%}
<{{ tag }}{% if kind %} class="{{ kind }}"{% endif %}>{{ content }}</{{ tag.partition(" ")[0] }}>
{%- endmacro -%}
{%- macro table(header, rows) -%}
<div class="scroll" tabindex="0" role="group" aria-label="table"><table><thead><tr>
{%- for content, kind in header %}{{ cell('th scope="col"'|safe, content, kind) }}{% endfor -%}
</tr></thead><tbody>
{%- for row in rows -%}
<tr>{% for content, kind in row %}{{ cell("td", content, kind) }}{% endfor %}</tr>
{%- endfor -%}
</tbody></table></div>
{%- endmacro -%}
{%- macro cards(values) -%}
<div class="cards">
{%- for name, value, below in values -%}
<div class="card"><div class="name">{{ name }}</div><div class="value">{{ value }}</div>
{#- #}<div class="range">{{ below }}</div></div>
{%- endfor -%}
</div>
{%- endmacro -%}
{%- macro figures(shown) -%}
<div class="figures">
{%- for title, address in shown -%}
<figure><a href="{{ address }}"><img src="{{ address }}" alt="{{ title }}" loading="lazy"></a>
{#- #}<figcaption>{{ title }}</figcaption></figure>
{%- endfor -%}
</div>
{%- endmacro -%}
"""

_TEMPLATES = Environment(
    loader=DictLoader({"page": _PAGE, "blocks": _BLOCKS}),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)


def page(title: str, parts: Iterable[Markup]) -> str:
    """An HTML page. The title is text; the parts are what the other functions make."""
    style = Markup(_STYLE)  # noqa: S704 - ours
    return _TEMPLATES.get_template("page").render(title=title, parts=list(parts), style=style)


def heading(text: str) -> Markup:
    """A heading below the page's title."""
    return _block("heading", text)


def paragraph(text: str, kind: str = "") -> Markup:
    """A paragraph of text; kind is "", "note" or "warning"."""
    return _block("paragraph", text, kind)


def link(text: str, address: str, about: str = "") -> Markup:
    """A link to another page, and what follows it."""
    return _block("link", text, address, about)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], texts: Sequence[int] = ()) -> Markup:
    """A table; the columns whose indices are in `texts` hold running text, the rest numbers."""

    def kind(column: int, content: str) -> str:
        if column in texts:
            return "text"
        return "long" if len(content) > LONGEST_NUMBER else ""

    shown_header = [(name, "text" if column in texts else "") for column, name in enumerate(header)]
    shown = [
        [(_breakable(cell, kind(column, cell)), kind(column, cell)) for column, cell in enumerate(row)]
        for row in rows
    ]
    return _block("table", shown_header, shown)


def cards(values: Iterable[tuple[str, str, str]]) -> Markup:
    """Numbers to be seen first: name, value, and what is below it."""
    return _block("cards", list(values))


def figures(shown: Iterable[tuple[str, str]]) -> Markup:
    """Pictures with their titles and addresses, side by side; each leads to itself in full size."""
    return _block("figures", list(shown))


def _block(name: str, *values: object) -> Markup:
    module = _TEMPLATES.get_template("blocks").module
    return Markup(getattr(module, name)(*values))  # noqa: S704 - escaped by the macro


def _breakable(cell: str, kind: str) -> Markup:
    """Where a cell may break: a path among texts after a slash, a value before its range, a range nowhere."""
    if kind == "text":
        return Markup("/<wbr>").join(cell.split("/"))
    start, bracket, interval = cell.partition("[")
    return escape(start + bracket + interval.replace(" ", "\N{NO-BREAK SPACE}"))
