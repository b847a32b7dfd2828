"""Small pages of tables that need nothing beside them."""

from collections.abc import Iterable, Sequence
from html import escape

LONGEST_NUMBER = 40
"""Characters of a number with its range."""

_STYLE = """
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; color: #1b2430;
  background: #fff; max-width: 84rem; margin: 0 auto; padding: 1.2rem 1.5rem 3rem; }
h1 { font-size: 1.45rem; margin: 0 0 0.4rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 0.6rem; }
p { margin: 0.4rem 0; max-width: 60rem; }
.note { color: #4a5766; }
.warning { background: #fff4d6; border-left: 4px solid #b26a00; padding: 0.5rem 0.8rem; }
.cards { display: flex; flex-wrap: wrap; gap: 0.8rem; margin: 1rem 0; }
.card { border: 1px solid #d4dae1; border-radius: 8px; padding: 0.7rem 1rem; min-width: 9.5rem; }
.card .name { color: #4a5766; font-size: 0.88rem; }
.card .value { font-size: 1.55rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.card .range { color: #4a5766; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.8rem; text-align: right; border-bottom: 1px solid #e3e8ed; white-space: nowrap; }
th { vertical-align: bottom; white-space: normal; color: #4a5766; font-weight: 600; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th.text, td.text { text-align: left; }
td.text { white-space: normal; overflow-wrap: break-word; }
td.long { white-space: normal; min-width: 14rem; }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """An HTML page. The title is text; the parts are HTML."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def heading(text: str) -> str:
    """A heading below the page's title."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of text; kind is "", "note" or "warning"."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], texts: Sequence[int] = ()) -> str:
    """A table; the columns whose indices are in `texts` hold running text, the rest numbers."""
    lines = ['<div class="scroll" tabindex="0" role="group" aria-label="table"><table><thead><tr>']
    lines += [
        f'<th scope="col" class="text">{escape(name)}</th>'
        if column in texts
        else f'<th scope="col">{escape(name)}</th>'
        for column, name in enumerate(header)
    ]
    lines.append("</tr></thead><tbody>")
    for row in rows:
        cells = (
            f"<td{_class(cell, is_text=column in texts)}>{escape(cell)}</td>"
            for column, cell in enumerate(row)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines.append("</tbody></table></div>")
    return "".join(lines)


def _class(cell: str, *, is_text: bool) -> str:
    """What a cell may do that a number may not: break into lines."""
    if is_text:
        return ' class="text"'
    return ' class="long"' if len(cell) > LONGEST_NUMBER else ""


def cards(values: Iterable[tuple[str, str, str]]) -> str:
    """Numbers to be seen first: name, value, and what is below it."""
    return (
        '<div class="cards">'
        + "".join(
            f'<div class="card"><div class="name">{escape(name)}</div>'
            f'<div class="value">{escape(value)}</div><div class="range">{escape(below)}</div></div>'
            for name, value, below in values
        )
        + "</div>"
    )
