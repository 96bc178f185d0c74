"""HTML to plain text and back, for the bodies that CRMs keep as HTML."""

from __future__ import annotations

import html
import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

_SILENT = frozenset(
    ("head", "script", "style", "template", "title", "noscript", "svg", "-comment", "!doctype")
)
_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "dd", "div", "dl", "dt", "fieldset", "footer"),
        *("form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre"),
        *("section", "table", "tr", "ul"),
    )
)
_SPACED = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6"))
_WHITE = re.compile(r"[ \t\r\n\f]+")
_BLANK_LINES = re.compile(r"\n{3,}")
_ANY_TAG = re.compile(r"<[^<>]*>")
_FORMATTING = re.compile(
    r"<(/?)(?:a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?=[\s/>])", re.IGNORECASE
)
_MOST_TAGS = 12_000
_MOST_FORMATTING = 250


class _Lines:
    """Text being written, which knows whether it stands at the start of a line."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.fresh = True

    def add(self, text: str) -> None:
        text = _WHITE.sub(" ", text)
        if self.fresh:
            text = text.lstrip(" ")
        if text:
            self.parts.append(text)
            self.fresh = False

    def end(self, breaks: int = 1) -> None:
        self.parts.append("\n" * breaks)
        self.fresh = True

    def text(self) -> str:
        lines = "".join(self.parts).split("\n")
        return _BLANK_LINES.sub("\n\n", "\n".join(line.rstrip(" \u00a0") for line in lines)).strip("\n")


def text_of_html(source: str) -> str:
    """
    Return what a reader would see: blocks on lines of their own, list items with a dash, no links or styles.

    Never raises and walks without recursion, however the HTML is broken or nested. Takes time in proportion to it: of
    what a parser would build a tree of another size from, only the tags are taken out.
    """
    if source.count("<") > _MOST_TAGS or _left_open(source) > _MOST_FORMATTING:
        return " ".join(html.unescape(_ANY_TAG.sub(" ", source)).split())
    lines = _Lines()
    node: LexborNode | None = LexborHTMLParser(source.encode("utf-8", "replace")).body
    depth = 0
    while node is not None:
        silent = _enter(node, lines)
        child = None if silent else node.child
        if child is not None:
            node, depth = child, depth + 1
            continue
        while node is not None:
            _leave(node, lines)
            if depth == 0:
                return lines.text()
            following = node.next
            if following is not None:
                node = following
                break
            node, depth = node.parent, depth - 1
    return lines.text()


def _left_open(source: str) -> int:
    """Return how much formatting is begun and not ended; each paragraph would repeat it (HTML standard, 13.2.4.3)."""
    return sum(-1 if ends else 1 for ends in _FORMATTING.findall(source))


def _enter(node: LexborNode, lines: _Lines) -> bool:
    """Write what stands before the node's children; True where they are not to be read."""
    tag = node.tag
    if tag == "-text":
        lines.add(node.text_content or "")
    elif tag == "br" or (tag in _BLOCKS and not lines.fresh):
        lines.end()
    if tag == "li":
        lines.add("- ")
        lines.fresh = True
    return tag in _SILENT


def _leave(node: LexborNode, lines: _Lines) -> None:
    if node.tag in _SPACED:
        lines.end(2 if not lines.fresh else 1)
    elif node.tag in _BLOCKS and not lines.fresh:
        lines.end()
    elif node.tag in ("td", "th"):
        lines.add(" ")


def html_of_text(text: str) -> str:
    """Return text as HTML that shows the same lines."""
    return html.escape(text, quote=False).replace("\r\n", "\n").replace("\n", "<br>")
