"""Which lines of a mail its sender typed this time, and which are quote or signature."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bridge_imap.blocks import block_at, label_of
from bridge_imap.html_text import HtmlText, read_html
from bridge_imap.reply_words import FORWARDED_LINE, ORIGINAL_LINE, PHONE_LINE, PHONE_LINE_STARTS, WROTE

_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
_DATE = re.compile(
    r"\b(?:19|20)\d\d\b|\d{1,2}[./-] ?\d{1,2}[./-] ?(?:\d\d\b|\d{4}\b)|\d{4}年|\b(?:20)\d\d(?=г|년)",
    re.IGNORECASE,
)
_TIME = re.compile(r"\d{1,2} ?[:.h時时] ?\d{2}")
_ADDRESS = re.compile(r"[<(\[]\s*(?:mailto:)?[^\s<>()\[\]]+@[^\s<>()\[\]]+")
_ONLY_ADDRESS = re.compile(r"[^<>@]{0,60}<[^\s<>]+@[^\s<>]+>,?$")
_RULE = re.compile(r"[-_=*‐–—]{5,}$|[-_=*‐–—]{2,}[^-_=*‐–—].{0,60}[-_=*‐–—]{2,}$")
_SIGNATURE_RULE = re.compile(r"[-_=*‐–—]{2,}$")
_CONTACT = re.compile(r"@|\+?\d[\d ()./-]{6,}\d|www\.|https?://", re.IGNORECASE)
_BLANKS = re.compile(r"\n{3,}")
_LONGEST_INTRODUCTION = 4
_DRAWN = frozenset("-_=—–*")
_BEGINNINGS = frozenset(
    f"{first}{second}"
    for start in PHONE_LINE_STARTS
    for first in (start[0], start[0].upper())
    for second in (start[1], start[1].upper())
)
"""The first two letters of lines that a telephone may have added: few others begin so."""
_ENDINGS = frozenset(":：-=_*")
"""Last characters of lines that introduce a quote."""
_FOOTER_LINES = 10
_FOOTER_SPAN = 30
_WRAPPED_AT = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A text in three: `new` as typed, `quoted` from earlier mails, `signature` with phone lines and list footers."""

    new: str
    quoted: str
    signature: str


def split_text(text: str, parent: str | None = None) -> Split:
    """
    Separate what the sender typed from quotes and signatures.

    `parent` is the whole text of the mail answered, where it is known: its lines are cut even
    where no mark introduces them. `new` is never empty unless the text is: if nothing would be left,
    it is the whole text and the others are empty.
    """
    seen = text if text.isascii() else _INVISIBLE.sub("", text).replace("\xa0", " ")
    clean = seen.replace("\r\n", "\n").replace("\r", "\n") if "\r" in seen else seen
    lines = clean.split("\n")
    bare = list(map(str.strip, lines))
    end, marked = _quotes(lines, bare)
    if parent is not None:
        end = min(end, _start_of_parent(lines, parent, marked))
    own = [index for index in range(end) if not marked[index]]
    signed = _signature(lines, bare, own)
    if not signed and len(own) == len(lines):
        return Split(new=_tidy(lines), quoted="", signature="")
    new = _tidy([lines[index] for index in own if index not in signed])
    if not new:
        return Split(new=clean.strip(), quoted="", signature="")
    return Split(
        new=new,
        quoted=_tidy([line for index, line in enumerate(lines) if index >= end or marked[index]]),
        signature=_tidy([lines[index] for index in sorted(signed)]),
    )


def split_html(html: str, parent: str | None = None) -> Split:
    """
    Separate what the sender typed from quotes and signatures of an HTML mail.

    The marks that mail programs leave (class names, ids, cite) come first, then the rules for text.
    """
    return split_page(read_html(html), parent)


def split_page(page: HtmlText, parent: str | None = None) -> Split:
    """Separate an HTML mail that was already read."""
    split = split_text(page.own, parent)
    if not split.new:
        return Split(new=page.text, quoted="", signature="")
    return Split(
        new=split.new,
        quoted="\n\n".join(filter(None, (split.quoted, page.quoted))),
        signature="\n".join(filter(None, (split.signature, page.signature))),
    )


def _quotes(lines: Sequence[str], bare: Sequence[str]) -> tuple[int, list[bool]]:
    """Find the line after which all is quoted, and mark the quoted lines before it; `bare` are the lines stripped."""
    marked = [False] * len(lines)
    after_quote = False
    for index, line in enumerate(bare):
        first, last = line[:1], line[-1:]
        if not (first == ">" or after_quote or last in _ENDINGS or ":" in line or "：" in line) or not line:
            continue
        if first == ">":
            marked[index] = True
            if not after_quote:
                _mark_introduction(lines, index, marked)
            after_quote = True
            continue
        if after_quote and _is_wrapped_rest(lines, index):
            marked[index] = True
            continue
        after_quote = False
        if last in ":：" or (last in "-=_*" and first in "-=_*‐"):
            if ORIGINAL_LINE.match(line) or FORWARDED_LINE.match(line):
                return index, marked
            if last not in ":：" and WROTE.search(line) and _DATE.search(line):
                return index, marked
            if last in ":：" and not _next_is_quoted(lines, index):
                start = _introduction(lines, index, certain=True)
                if start is not None:
                    return start, marked
        if line.find(":", 0, 32) >= 0 or line.find("：", 0, 32) >= 0:
            kind = label_of(line)
            if (kind == "from" or kind == "date") and block_at(lines, index) is not None:
                return _above_rule(lines, index), marked
    return len(lines), marked


def _introduction(lines: Sequence[str], last: int, *, certain: bool) -> int | None:
    """
    Return the first line of the sentence that introduces a quote and ends in line `last`; None if it is none.

    It has a date and the verb, or a date, a time and an address. Where a quoted line follows (not
    `certain`), any two of date, verb and address are enough, or the verb alone.
    """
    words = ""
    for start in range(last, max(last - _LONGEST_INTRODUCTION, -1), -1):
        line = lines[start].strip()
        if not line or line[0] == ">":
            break
        words = f"{line} {words}"
        if len(words) > 400:
            break
        date = _DATE.search(words) is not None
        wrote = WROTE.search(words) is not None
        address = _ADDRESS.search(words) is not None
        if date and (wrote or (address and (not certain or _TIME.search(words) is not None))):
            while start and _ONLY_ADDRESS.match(lines[start - 1].strip()):
                start -= 1
            return start
    if not certain and WROTE.search(lines[last]):
        return last
    return None


def _mark_introduction(lines: Sequence[str], quote: int, marked: list[bool]) -> None:
    """Mark the sentence above the quoted line `quote`, if it introduces the quote."""
    last = quote - 1
    while last >= 0 and not lines[last].strip():
        last -= 1
    if last < 0 or marked[last] or quote - last > 3:
        return
    start = _introduction(lines, last, certain=False)
    if start is not None:
        marked[start : last + 1] = [True] * (last + 1 - start)


def _next_is_quoted(lines: Sequence[str], index: int) -> bool:
    """Tell whether the next line that is not empty is quoted with `>`."""
    for line in lines[index + 1 : index + 5]:
        if line.strip():
            return line.lstrip()[0] == ">"
    return False


def _is_wrapped_rest(lines: Sequence[str], index: int) -> bool:
    """Tell whether a line is the tail of the long quoted line above, broken off by a server."""
    above = lines[index - 1].strip()
    return (
        above.startswith(">")
        and len(above) >= _WRAPPED_AT
        and above[-1] not in ".?!:"
        and lines[index].lstrip()[0].islower()
        and index + 1 < len(lines)
        and lines[index + 1].lstrip().startswith(">")
    )


def _above_rule(lines: Sequence[str], index: int) -> int:
    """Return the first line of the empty lines and drawn rules right above line `index`."""
    while index and (not lines[index - 1].strip() or _RULE.match(lines[index - 1].strip())):
        index -= 1
    return index


def _start_of_parent(lines: Sequence[str], parent: str, marked: Sequence[bool]) -> int:
    """Return the first unmarked line where the words of the parent mail begin, or the number of lines."""
    wanted = _words(parent)[:8]
    if len(wanted) < 4:
        return len(lines)
    for index, line in enumerate(lines):
        if marked[index] or not line.strip():
            continue
        words = _words("\n".join(lines[index : index + len(wanted)]))[: len(wanted)]
        if words == wanted:
            return index
    return len(lines)


def _words(text: str) -> list[str]:
    """Return the words of a text in lower case, without quote marks."""
    return [word for word in text.lower().split() if word.strip(">")]


def _signature(lines: Sequence[str], bare: Sequence[str], own: Sequence[int]) -> set[int]:
    """Return the numbers of the lines, of those numbered `own`, that are signature, list footer or phone line."""
    signed: set[int] = set()
    for place, index in enumerate(own):
        line = bare[index]
        if line[:1] in _DRAWN:
            if index in signed or not place:
                continue
            if lines[index] == "-- ":
                signed.update(_unbroken(own, place, len(own)))
            elif _SIGNATURE_RULE.match(line):
                block = _unbroken(own, place, min(place + _FOOTER_SPAN, len(own)))
                if len(block) < _FOOTER_SPAN and _closes(line, [bare[number] for number in block[1:]]):
                    signed.update(block)
        elif (
            line[:2] in _BEGINNINGS
            and len(line) < 160
            and line[:12].lower().startswith(PHONE_LINE_STARTS)
            and PHONE_LINE.match(line) is not None
        ):
            signed.add(index)
    return signed


def _unbroken(own: Sequence[int], start: int, end: int) -> range:
    """Return the numbers of the lines from place `start`, at most to `end`, that no quote interrupts."""
    first = own[start]
    place = start + 1
    while place < end and own[place] - first == place - start:
        place += 1
    return range(first, first + place - start)


def _closes(rule: str, below: Sequence[str]) -> bool:
    """Tell whether a drawn line has only a footer or a signature with contact details below it."""
    below = [line for line in below if line]
    if len(below) > _FOOTER_LINES:
        return False
    if rule == "--" or (rule[0] == "_" and len(rule) >= 30):
        return True
    return all(len(line) <= 60 for line in below) and any(_CONTACT.search(line) for line in below)


def _tidy(lines: Sequence[str]) -> str:
    """Join lines; at most one empty line between two, none around."""
    joined = "\n".join(map(str.rstrip, lines)).strip()
    return _BLANKS.sub("\n\n", joined) if "\n\n\n" in joined else joined
