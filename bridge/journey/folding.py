"""One spelling for words that people write with and without accents."""

from __future__ import annotations

import unicodedata

_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ı": "i"}
    | dict.fromkeys("ªº", "")
    | dict.fromkeys("’‘`´ʼ", "'")
)


def fold(text: str) -> str:
    """Return `text` in lower case and Latin letters without marks; other scripts stay as they are."""
    if text.isascii():
        return text.lower()
    spread = unicodedata.normalize("NFKD", text.lower().translate(_LETTERS))
    return "".join(letter for letter in spread if not unicodedata.combining(letter)).lower()
