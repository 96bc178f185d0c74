"""Bytes to text: the charset a mail declares, the one it means, and a guess where both fail."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

import charset_normalizer

_MEANT = {
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "ksc5601": "cp949",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-8-i": "iso-8859-8",
    "iso-2022-jp": "iso2022_jp_2",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "x-mac-roman": "mac-roman",
    "macintosh": "mac-roman",
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "utf8mb4": "utf-8",
    "cp-850": "cp850",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "ansi_x3.4-1968": "utf-8",
}
_NEVER = frozenset(("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"))
_NAME = re.compile(r"[\w.:+-]{1,40}", re.ASCII)
_SAMPLE = 4096
_TOO_SHORT_TO_GUESS = 60


def decode(raw: bytes, charset: str | None, default: str = "utf-8") -> str:
    """
    Decode text whose declared charset may be missing, unknown or wrong; never raises.

    A label stands for what programs mean by it (WHATWG Encoding, section 4.2: iso-8859-1 is windows-1252). Text
    that does not fit its label is tried as UTF-8, as `default` and then guessed. NUL is left out.
    """
    if charset is None and raw.isascii():
        text: str | None = raw.decode("ascii")
    else:
        text = _try(raw, charset) if charset else None
    if text is None:
        text = _try(raw, "utf-8") or _try(raw, default) or _guessed(raw)
    if "\0" in text:
        text = text.replace("\0", "")
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text


def _try(raw: bytes, charset: str) -> str | None:
    """Decode, or return None if the charset is unknown or does not fit: one bad character in 200 is forgiven."""
    codec = _codec(charset.strip().strip("\"'").lower())
    if codec is None:
        return None
    try:
        return raw.decode(codec)
    except ValueError:
        pass
    try:
        text = raw.decode(codec, "replace")
    except ValueError:
        return None
    return text if text.count("\ufffd") <= 1 + len(text) // 200 and len(text) > 40 else None


@lru_cache(maxsize=256)
def _codec(charset: str) -> str | None:
    """Return the name of the codec to use for a label in lower case, None if there is none."""
    name = _MEANT.get(charset, charset)
    if not _NAME.fullmatch(name):
        return None
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    if not info._is_text_encoding or info.name.replace("-", "_") in _NEVER:
        return None
    return info.name


def _guessed(raw: bytes) -> str:
    if len(raw) < _TOO_SHORT_TO_GUESS:
        return raw.decode("cp1252", "replace")
    best = charset_normalizer.from_bytes(raw[:_SAMPLE]).best()
    if best is not None:
        text = _try(raw, best.encoding)
        if text is not None:
            return text
    return raw.decode("cp1252", "replace")
