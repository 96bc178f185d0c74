"""The keys of our making: the marker that a write leaves at the vendor, entity and person ids."""

from __future__ import annotations

import re
from hashlib import blake2b

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [one + other for one in _ALPHABET for other in _ALPHABET]
_MARKER_LENGTH = 12
_find_markers = re.compile(
    rf"(?<!\w)crmbridge(?:\s|&nbsp;|&#160;)+([{_ALPHABET}]{{{_MARKER_LENGTH}}})(?!\w)"
).findall


def marker(account_key: str, entity_id: str, slot: str) -> str:
    """
    Return the key of what one entity writes into one slot of one destination account.

    12 characters of Crockford's base 32 (crockford.com/base32.html); never derived from a person's id,
    which can change.
    """
    parts = "\0".join((account_key, entity_id, slot)).encode()
    digest = blake2b(parts, digest_size=8, person=b"marker").digest()
    number = int.from_bytes(digest) >> 4
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(5 * (_MARKER_LENGTH - 2), -1, -10)])


def entity_id(key: str) -> str:
    """Return the id of what was first known by `key`: `e_` and 24 hexadecimal digits."""
    return "e_" + blake2b(key.encode(), digest_size=12).hexdigest()


def person_id(founder: str) -> str:
    """Return the id of the person whose first record is `founder`: `p_` and 20 hexadecimal digits."""
    return f"p_{blake2b(founder.encode(), digest_size=10, person=b'person').hexdigest()}"


def is_marker(text: str) -> bool:
    """Tell whether a text is a key of ours: the id of what is to be made, not that of a CRM, which counts in digits."""
    return len(text) == _MARKER_LENGTH and set(text) <= set(_ALPHABET) and not text.isdecimal()


def find_markers(text: str) -> set[str]:
    """Return the markers that stand in a plain or HTML text, as in `crmbridge 7F3A2C9KQ0XT`."""
    return set(_find_markers(text)) if "crmbridge" in text else set()
