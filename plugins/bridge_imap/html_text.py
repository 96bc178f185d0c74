"""HTML mail to readable text, with what mail programs mark as quote or signature kept apart."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import unescape

from selectolax.lexbor import LexborHTMLParser, LexborNode

_DROPPED = (
    "style, script, template, object, [hidden], [style*='display:none' i], [style*='display: none' i], "
    "[style*='mso-hide:all' i], [style*='visibility:hidden' i]"
)
_QUOTES = "blockquote[type=cite], blockquote.gmail_quote, blockquote.iosymail, .moz-cite-prefix"
_SIGNATURES = (
    ".gmail_signature, .moz-signature, #ms-outlook-mobile-signature, .protonmail_signature_block, #Signature, "
    ".zmail_signature"
)
_CUTS = (
    "#divRplyFwdMsg, hr#stopSpelling, .OutlookMessageHeader, [class*=yahoo_quoted], .protonmail_quote, "
    ".tutanota_quote, .zmail_extra, #mail-editor-reference-message-container, [name=messageReplySection], "
    "#OLK_SRC_BODY_SECTION, [style*='border-top:solid #E1E1E1' i], [style*='border-top:solid #B5C4DF' i], "
    "[style*='border-top: 1pt solid rgb(225, 225, 225)' i]"
)
_DROPPED_SIGNS = ("<style", "<script", "<template", "<object", "hidden", "display", "mso-hide")
_QUOTE_SIGNS = ("=cite", '"cite"', "'cite'", "moz-cite", "gmail_quote", "gmail_attr", "iosymail")
_CUT_SIGNS = (
    *(
        "divrplyfwdmsg",
        "stopspelling",
        "outlookmessageheader",
        "yahoo_quoted",
        "protonmail_quote",
        "tutanota_quote",
    ),
    *("zmail_extra", "mail-editor-reference", "messagereplysection", "olk_src_body"),
    *("border-top:solid #e1e1e1", "border-top:solid #b5c4df", "border-top: 1pt solid rgb(225"),
)
_LINE, _GAP, _NEWLINE = "\n", "\f", "\t"
"""
Put into the page where a block begins or ends, where a paragraph does, and where a line breaks.

They are white space of HTML, so a parser leaves them where they are, inside tables as well; what
the page itself has of them is turned into spaces before.
"""
_QUOTE, _END_QUOTE, _SIGN, _END_SIGN = "\x11", "\x12", "\x13", "\x14"
_HIDE, _END_HIDE, _CUT, _TYPED_NEWLINE = "\x15", "\x16", "\x17", "\x18"
_MARKS = re.compile("[\x11-\x18]")
_TOKENS = re.compile("([\x11-\x17])")
_BLOCK = re.compile(
    r"<(?=(?i:/?(?:div|tr|table|ul|ol|blockquote|pre|h[1-6]|hr|center|section|article|header|footer|d[ltd]|form|"
    r"fieldset|address))[\s/>])"
)
_PARAGRAPH = re.compile(r"<(?=(?i:/?p)[\s/>])")
_RARER = (
    ("<br", re.compile(r"<(?=(?i:br)[\s/>])"), f"{_NEWLINE}<"),
    ("</t", re.compile(r"<(?=/(?i:t[dh])[\s/>])"), " <"),
    ("<li", re.compile(r"<((?i:li)(?:\s[^<>]*)?>)"), rf"{_LINE}<\1- "),
)
_AS_TYPED = re.compile(r"<(?i:pre)[\s>][^<]*(?:<(?!/(?i:pre))[^<]*)*")
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
    page = _tamed(html)
    if page is None:
        text = _plain(html)
        return HtmlText(text=text, own=text, quoted="", signature="")
    tree = LexborHTMLParser(_with_breaks(page))
    if tree.body is None:
        return HtmlText(text="", own="", quoted="", signature="")
    _mark(tree, page.lower())
    return _apart(_lines(_single_spaced(tree.body.text().replace(_TYPED_NEWLINE, _NEWLINE))))


def explodes(html: str) -> bool:
    """Tell whether a parser would make much more of the page than it is: formatting left open again and again."""
    if html.count("<") <= _FEW_TAGS:
        return False
    return len(_FORMATTING_LEFT.findall(html)) - len(_FORMATTING_END.findall(html)) > _MOST_FORMATTING


def marks_quotes(html: str) -> bool:
    """Tell whether a mail program may have marked a quote in the page; cheap, and sure where it says no."""
    page = html.lower()
    return any(sign in page for sign in _QUOTE_SIGNS + _CUT_SIGNS)


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
    return " ".join(unescape(_ANY_TAG.sub(" ", _MARKS.sub("", html[:_LONGEST_PAGE]))).split())


def _single_spaced(text: str) -> str:
    while "  " in text:
        text = text.replace("  ", " ")
    return text


def _with_breaks(page: str) -> str:
    """Put white space of our own where a reader sees a line end, and take the page's own out."""
    typed = "<pre" in page or "<PRE" in page
    if typed:
        page = _AS_TYPED.sub(lambda found: found[0].replace("\n", _TYPED_NEWLINE), _MARKS.sub("", page))
    page = page.replace("\n", " ").replace("\r", " ").replace("\t", " ").replace("\f", " ")
    if not typed and not page.isprintable():
        page = _MARKS.sub("", page)
    page = _BLOCK.sub(f"{_LINE}<", page)
    page = _PARAGRAPH.sub(f"{_LINE if 'MsoNormal' in page else _GAP}<", page)
    for sign, tag, put in _RARER:
        if sign in page or sign.upper() in page:
            page = tag.sub(put, page)
    return page


def _mark(tree: LexborHTMLParser, page: str) -> None:
    """Put control characters into the tree around quotes, signatures and what is hidden; `page` is in lower case."""
    if any(sign in page for sign in _DROPPED_SIGNS):
        _surround(tree.css(_DROPPED), _HIDE, _END_HIDE)
    if any(sign in page for sign in _QUOTE_SIGNS):
        _surround(tree.css(_QUOTES), _QUOTE, _END_QUOTE)
        for node in tree.css(".gmail_attr")[:_MOST_INTRODUCTIONS]:
            if "----" not in node.text()[:40]:  # of a forward it is the header of what follows, no quote
                _surround((node,), _QUOTE, _END_QUOTE)
    if "signature" in page:
        _surround(tree.css(_SIGNATURES), _SIGN, _END_SIGN)
    if any(sign in page for sign in _CUT_SIGNS):
        for node in tree.css(_CUTS):
            node.insert_before(_CUT)


def _surround(nodes: Iterable[LexborNode], start: str, end: str) -> None:
    for node in nodes:
        node.insert_before(start)
        node.insert_after(end)


def _lines(text: str) -> str:
    """Break lines: `br` always breaks, a block only where a line is open, a paragraph leaves an empty line."""
    lines: list[str] = []
    for piece in text.replace(_GAP, f"\n{_GAP}\n").split("\n"):
        piece = piece.strip(" ")
        if piece == _GAP:
            lines.append("")
        elif _NEWLINE in piece:
            broken = piece.split(_NEWLINE)
            lines += broken if broken[-1].strip() else broken[:-1]
        elif piece:
            lines.append(piece)
    return "\n".join(lines)


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
