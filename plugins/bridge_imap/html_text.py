"""HTML mail to readable text, with what mail programs mark as quote or signature kept apart."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import unescape

from selectolax.lexbor import LexborHTMLParser, LexborNode

_DROPPED = (
    "head, style, script, title, template, object, [hidden], [style*='display:none' i], [style*='display: none' i], "
    "[style*='mso-hide:all' i], [style*='visibility:hidden' i]"
)
_BLOCKS = (
    "p, div, tr, table, ul, ol, li, blockquote, pre, h1, h2, h3, h4, h5, h6, hr, center, section, article, header, "
    "footer, dl, dt, dd, form, fieldset, address"
)
_QUOTES = "blockquote[type=cite], blockquote.gmail_quote, blockquote.iosymail, .moz-cite-prefix"
_SIGNATURES = (
    ".gmail_signature, .moz-signature, #ms-outlook-mobile-signature, .protonmail_signature_block, #Signature, "
    "[data-smartmail=gmail_signature], .zmail_signature"
)
_CUTS = (
    "#divRplyFwdMsg, hr#stopSpelling, .OutlookMessageHeader, [class*=yahoo_quoted], .protonmail_quote, "
    ".tutanota_quote, "
    ".zmail_extra, "
    "#mail-editor-reference-message-container, [name=messageReplySection], #OLK_SRC_BODY_SECTION, "
    "[style*='border-top:solid #E1E1E1' i], [style*='border-top:solid #B5C4DF' i], "
    "[style*='border-top: 1pt solid rgb(225, 225, 225)' i]"
)
_LINE, _GAP, _NEWLINE = "\x1c", "\x1d", "\x1e"
_QUOTE, _END_QUOTE, _SIGN, _END_SIGN, _HIDE, _END_HIDE, _CUT = (
    "\x11",
    "\x12",
    "\x13",
    "\x14",
    "\x15",
    "\x16",
    "\x17",
)
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SPACES = re.compile("[ \t\r\n]+")
_BREAKS = re.compile(f" ?[{_LINE}{_GAP}{_NEWLINE}][ {_LINE}{_GAP}{_NEWLINE}]*")
_TOKENS = re.compile(f"([{_QUOTE}-{_CUT}])")
_MANY_BREAKS = re.compile(r"\n{3,}")
_ANY_TAG = re.compile(r"<[^<>]*>")
_FORMATTING = "a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u"
_FORMATTING_TAG = re.compile(
    rf"</?(?:{_FORMATTING})(?=[\s/>])(?:[^<>\"']|\"[^\"]{{0,1000}}\"|'[^']{{0,1000}}'){{0,100}}>",
    re.IGNORECASE,
)
_FORMATTING_LEFT = re.compile(rf"<(?:{_FORMATTING})[\s/>]", re.IGNORECASE)
_FORMATTING_END = re.compile(rf"</(?:{_FORMATTING})[\s>]", re.IGNORECASE)
_INLINE_FILE = re.compile(r"data:[\w/+.-]{1,60};base64,[A-Za-z0-9+/=]+")
_FEW_TAGS = 500
_MOST_TAGS = 12_000
_MOST_FORMATTING = 250
_LONGEST_PAGE = 400_000
_MOST_INTRODUCTIONS = 20
_DEEPEST_QUOTE = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlText:
    """
    A page as text: `text` is all of it, quotes with `> ` before their lines.

    `own` lacks what the program marked as signature (`signature`) or as earlier mail (`quoted`).
    """

    text: str
    own: str
    quoted: str
    signature: str


def read_html(html: str) -> HtmlText:
    """
    Turn an HTML page into text: one line per block, no styles, scripts or hidden elements.

    Takes time in proportion to the page: what would make a parser build a tree much larger than the
    page (HTML standard, 13.2.4.3, active formatting elements) is read as text with the tags taken out.
    """
    page = _tamed(_CONTROLS.sub("", html))
    if page is None:
        text = _plain(html)
        return HtmlText(text=text, own=text, quoted="", signature="")
    tree = LexborHTMLParser(page)
    root = tree.body
    if root is None:
        return HtmlText(text="", own="", quoted="", signature="")
    _mark(tree, page)
    flat = _SPACES.sub(" ", root.text())
    return _apart(_BREAKS.sub(_newlines, flat))


def explodes(html: str) -> bool:
    """Tell whether a parser would make much more of the page than it is: formatting left open again and again."""
    if html.count("<") <= _FEW_TAGS:
        return False
    return len(_FORMATTING_LEFT.findall(html)) - len(_FORMATTING_END.findall(html)) > _MOST_FORMATTING


def _tamed(html: str) -> str | None:
    """Return the page without what makes a tree explode; None if that can't be taken out."""
    if "base64," in html:
        html = _INLINE_FILE.sub("", html)
    html = html[:_LONGEST_PAGE]
    if html.count("<") > _FEW_TAGS:
        html = _FORMATTING_TAG.sub("", html)
        if html.count("<") > _MOST_TAGS or len(_FORMATTING_LEFT.findall(html)) > _MOST_FORMATTING:
            return None
    return html


def _plain(html: str) -> str:
    return _SPACES.sub(" ", unescape(_ANY_TAG.sub(" ", html[:_LONGEST_PAGE]))).strip()


def _mark(tree: LexborHTMLParser, page: str) -> None:
    """Put control characters into the tree where lines break and where quotes, signatures and cuts are."""
    for node in tree.css("br"):
        node.insert_before(_NEWLINE)
    for node in tree.css(_BLOCKS):
        token = _GAP if node.tag == "p" and "MsoNormal" not in (node.attributes.get("class") or "") else _LINE
        node.insert_before(token)
        node.insert_after(token)
    for node in tree.css("td, th"):
        node.insert_after(" ")
    if "<li" in page:
        for node in tree.css("li"):
            if (first := node.first_child) is not None:
                first.insert_before("- ")
    if "<pre" in page:
        _keep_lines(tree)
    _surround(tree.css(_DROPPED), _HIDE, _END_HIDE)
    _surround(tree.css(_QUOTES), _QUOTE, _END_QUOTE)
    for node in tree.css(".gmail_attr")[:_MOST_INTRODUCTIONS]:
        if "----" not in node.text()[:40]:  # of a forward it is the header of what follows, no quote
            _surround((node,), _QUOTE, _END_QUOTE)
    _surround(tree.css(_SIGNATURES), _SIGN, _END_SIGN)
    for node in tree.css(_CUTS):
        node.insert_before(_CUT)


def _surround(nodes: Iterable[LexborNode], start: str, end: str) -> None:
    for node in nodes:
        node.insert_before(start)
        node.insert_after(end)


def _keep_lines(tree: LexborHTMLParser) -> None:
    """Turn the line ends inside `pre` into breaks."""
    for pre in tree.css("pre"):
        texts = [node for node in pre.traverse(include_text=True) if node.tag == "-text"]
        for node in texts:
            content = node.text_content or ""
            if "\n" in content:
                node.insert_before(content.replace("\n", _NEWLINE))
                node.decompose()


def _newlines(run: re.Match[str]) -> str:
    """Turn a run of breaks into line ends: a line break always breaks, a block only where no line is open."""
    count = 0
    for token in run[0]:
        if token == _NEWLINE:
            count += 1
        elif token == _LINE:
            count = max(count, 1)
        elif token == _GAP:
            count = max(count, 2)
    return "\n" * min(count, 2)


def _apart(flat: str) -> HtmlText:
    """Split marked text into all, own, quoted and signature."""
    depth = signs = hidden = 0
    cut = False
    text: list[str] = []
    own: list[str] = []
    quoted: list[str] = []
    signature: list[str] = []
    for piece in _TOKENS.split(flat):
        if not piece:
            continue
        if piece == _QUOTE:
            depth += 1
        elif piece == _END_QUOTE:
            depth -= 1
        elif piece == _SIGN:
            signs += 1
        elif piece == _END_SIGN:
            signs -= 1
        elif piece == _HIDE:
            hidden += 1
        elif piece == _END_HIDE:
            hidden -= 1
        elif piece == _CUT:
            cut = True
        elif not hidden:
            if depth:
                mark = f"\n{'>' * min(depth, _DEEPEST_QUOTE)} "
                said = piece.strip("\n")
                piece = mark + said.replace("\n", mark) + "\n" if said.strip() else "\n"
            text.append(piece)
            (quoted if cut else signature if signs and not depth else own).append(piece)
    return HtmlText(text=_tidy(text), own=_tidy(own), quoted=_tidy(quoted), signature=_tidy(signature))


def _tidy(pieces: list[str]) -> str:
    lines = "".join(pieces).replace("\xa0", " ").split("\n")
    return _MANY_BREAKS.sub("\n\n", "\n".join(line.strip() for line in lines)).strip()
