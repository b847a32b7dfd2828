"""Pages: what is text is escaped, and tables break where they should."""

from html.parser import HTMLParser

import pytest

from stronglens.reporting import html

EVIL = "<script>&\"'"
SAFE = "&lt;script&gt;&amp;&#34;&#39;"


class Balanced(HTMLParser):
    """Refuses tags that do not close each other."""

    EMPTY = ("meta", "link", "img", "wbr")

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.EMPTY:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag


def test_a_page_is_whole_and_every_tag_is_closed() -> None:
    parts = [
        html.heading("a"),
        html.paragraph("b", "warning"),
        html.link("c", "d.html", ", e"),
        html.table(("f", "g"), [("h", "i")], [0]),
        html.cards([("j", "k", "l")]),
        html.figures([("m", "n.png")]),
    ]
    page = html.page("Title", parts)
    reader = Balanced()
    reader.feed(page)
    assert reader.opened == []
    assert page.startswith("<!doctype html>")
    assert "<title>Title</title>" in page
    assert page.count("<h1>") == 1
    assert all(str(part) in page for part in parts)


@pytest.mark.parametrize(
    "made",
    [
        html.heading(EVIL),
        html.paragraph(EVIL, EVIL),
        html.link(EVIL, EVIL, EVIL),
        html.table((EVIL,), [(EVIL,)]),
        html.table((EVIL,), [(EVIL,)], [0]),
        html.cards([(EVIL, EVIL, EVIL)]),
        html.figures([(EVIL, EVIL)]),
        html.page(EVIL, []),
    ],
)
def test_text_is_escaped(made: str) -> None:
    assert "<script>" not in made
    assert SAFE in made


def test_paths_may_break_after_a_slash_and_ranges_nowhere() -> None:
    made = html.table(("path", "value"), [("a/b/<c>", "0.5 [0.4, 0.6]")], [0])
    assert "a/<wbr>b/<wbr>&lt;c&gt;" in made
    assert "0.5 [0.4,\N{NO-BREAK SPACE}0.6]" in made


def test_kinds_of_columns() -> None:
    made = html.table(("a", "b"), [("x", "1"), ("y", "2" * 41)], [0])
    assert '<th scope="col" class="text">a</th><th scope="col">b</th>' in made
    assert '<td class="text">x</td><td>1</td>' in made
    assert f'<td class="long">{"2" * 41}</td>' in made


def test_paragraphs_have_a_kind_or_none() -> None:
    assert html.paragraph("a") == "<p>a</p>"
    assert html.paragraph("a", "note") == '<p class="note">a</p>'
    assert html.link("a", "b?c&d", " e") == '<p><a href="b?c&amp;d">a</a> e</p>'
