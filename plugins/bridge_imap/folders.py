"""Which folders of a mailbox are read."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from bridge import ConfigError
from bridge_imap.client import Folder

USUAL = ("sent", "inbox", "archive")
"""The roles that are read when no folder is named; Sent first, so that its copy of a mail is the one that counts."""


def choose(listed: Sequence[Folder], named: Sequence[str], *, gmail: bool, connection: str) -> list[Folder]:
    """
    Return the folders to read, sent mail first.

    Gmail's \\All holds every mail once, its folders are labels, so it is enough there.
    Raises ConfigError for a folder that was named and is not there.
    """
    if named:
        return sorted((_find(listed, name, connection) for name in dict.fromkeys(named)), key=_place)
    everything = [folder for folder in listed if gmail and folder.role == "all"]
    return everything or sorted((folder for folder in listed if folder.role in USUAL), key=_place)


def missing(chosen: Sequence[Folder], named: Sequence[str]) -> list[str]:
    """Return what a connection without named folders will not see."""
    if named or any(folder.role in ("sent", "all") for folder in chosen):
        return []
    return ["sent mail: no such folder was found; name it in settings.folders"]


def _place(folder: Folder) -> int:
    return USUAL.index(folder.role) if folder.role in USUAL else len(USUAL)


def _find(listed: Sequence[Folder], name: str, connection: str) -> Folder:
    for same in (str, str.casefold):
        for folder in listed:
            if same(folder.name) == same(name):
                return folder
    known = [folder.name for folder in listed]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f'Did you mean "{near[0]}"?' if near else f"There are: {', '.join(known[:20])}."
    raise ConfigError(
        f'connections.{connection}.settings.folders: the mailbox has no folder "{name}". {hint}'
    )
