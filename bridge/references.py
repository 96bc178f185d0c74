"""References: `${env:NAME}`, `${file:path}` and `${command:...}` in settings, and what they stand for."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bridge.model import Json
from bridge.yaml_file import YamlPath

BY_REFERENCE = "Write a reference: ${env:NAME}, ${file:/path} or ${command:...}."
COMMAND_SECONDS = 30.0

REFERENCE = re.compile(r"\$\{(env|file|command):((?:[^{}]|\{[^{}]*\})*)\}")
"""Braces may stand in a command as long as they come in pairs: `${command:awk '{print $2}' keys}`."""

BROKEN = re.compile(r"\$\{([^}:]{0,20})[^}]{0,40}\}?")
"""What is left of a text after its references were taken out and still begins like one; the group is its kind."""


Note = Callable[[YamlPath, str, str], None]


class References:
    """
    Replaces the references in a tree of settings, noting every problem through `problem(path, message, remedy)`,
    and through `absent` what is written well and is not there.

    `secrets` grows by every value that stands where a secret belongs (`writeOnly`), and by what any file
    or command gave; what a variable holds elsewhere, such as a host's name, may be shown.
    """

    def __init__(self, folder: Path, *, problem: Note, absent: Note) -> None:
        self.secrets: dict[str, None] = {}
        self._folder = folder
        self._problem = problem
        self._absent = absent
        self._lacking: set[YamlPath] = set()

    def lacks(self, path: YamlPath) -> bool:
        """Tell whether what stands at a path could not be had, so that it is not worth judging."""
        return any(path[:length] in self._lacking for length in range(len(path) + 1))

    def resolve(self, value: Json, rules: Any, path: YamlPath, *, secret: bool = False) -> Json:
        """
        Return a value with its references replaced; `rules` is the JSON Schema of what belongs there.

        Paths (`"format": "path"`) become absolute. A secret in plain text is a problem.
        """
        rules = rules if isinstance(rules, dict) else {}
        secret = secret or bool(rules.get("writeOnly"))
        if isinstance(value, dict):
            known, rest = rules.get("properties", {}), rules.get("additionalProperties")
            return {
                key: self.resolve(inner, known.get(key, rest), (*path, key), secret=secret)
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [
                self.resolve(inner, rules.get("items"), (*path, index), secret=secret)
                for index, inner in enumerate(value)
            ]
        text = value if isinstance(value, str) else ""
        if broken := BROKEN.search(REFERENCE.sub("", text)):
            near = _nearest_kind(broken[1])
            remedy = f"Did you mean ${{{near}:...}}?" if near else BY_REFERENCE
            self._lack(path, f"{'this' if secret else broken.group()} is no reference.", remedy)
        elif secret and value is not None and not REFERENCE.search(text):
            self._lack(path, "a secret stands here in plain text.", BY_REFERENCE)
        if not isinstance(value, str):
            return value
        found = REFERENCE.sub(lambda match: self._fetch(match, path, secret=secret), value)
        if secret and not self.lacks(path):
            self.secrets[found] = None
        return str(self._folder.absolute() / found) if rules.get("format") == "path" else found

    def _fetch(self, match: re.Match[str], path: YamlPath, *, secret: bool) -> str:
        kind, name = match.groups()
        try:
            found = fetch(kind, name, self._folder)
        except NotThereError as error:
            self._lacking.add(path)
            self._absent(path, f"{match.group()} {error}", error.remedy)
            return ""
        if secret or kind != "env":
            self.secrets[found] = None
        return found

    def _lack(self, path: YamlPath, message: str, remedy: str) -> None:
        self._lacking.add(path)
        self._problem(path, message, remedy)


class NotThereError(Exception):
    """What a reference names cannot be had; the message says why, `remedy` what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        self.remedy = remedy
        super().__init__(message)


def fetch(kind: str, name: str, folder: Path) -> str:
    """
    Return the value that a reference of this kind names, without the white space around it.

    Paths start at `folder`, and commands run there. Raises NotThereError, whose words never hold
    what was read.
    """
    name = name.strip()
    if not name:
        raise NotThereError("names nothing.", _NAMES[kind])
    found = _FETCH[kind](name, folder)
    if not found:
        raise NotThereError("is empty.", _EMPTY[kind].format(name))
    return found


def _nearest_kind(written: str) -> str | None:
    """Return the kind that a word was probably meant to be, None where it is one or is far from all."""
    near = difflib.get_close_matches(written.strip().lower(), _FETCH, n=1)
    return near[0] if near and near[0] != written else None


def _from_env(name: str, _folder: Path) -> str:
    if name not in os.environ:
        raise NotThereError("is not set.", f"Set it: export {name}=...")
    return os.environ[name].strip()


def _from_file(name: str, folder: Path) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
    raise NotThereError(f"cannot be read: {reason}.", "Create the file, readable for crmbridge only.")


def _from_command(line: str, folder: Path) -> str:
    remedy = f"Run it by hand in {folder.absolute()} to see why."
    try:
        done = subprocess.run(  # noqa: S603 the admin's own command, from the admin's own file
            shlex.split(line),
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
            cwd=folder,
        )
    except subprocess.TimeoutExpired:
        reason = f"gave no answer in {COMMAND_SECONDS:g} s."
    except OSError as error:
        reason = f"cannot be run: {error.strerror}."
    except ValueError as error:  # a quotation mark without its other half
        reason = f"cannot be run: {error}."
    else:
        if done.returncode:
            raise NotThereError(f"ended with {done.returncode}.", remedy)
        try:
            return done.stdout.decode().strip()
        except UnicodeDecodeError:
            reason = "printed something that is not text in UTF-8."
    raise NotThereError(reason, remedy)


_FETCH: Mapping[str, Callable[[str, Path], str]] = {
    "env": _from_env,
    "file": _from_file,
    "command": _from_command,
}
_NAMES = {
    "env": "Write the variable's name: ${env:NAME}.",
    "file": "Write the file's path: ${file:/run/secrets/name}.",
    "command": "Write the command: ${command:pass show name}.",
}
_EMPTY = {
    "env": "Give it a value: export {}=...",
    "file": "Write the value into {}.",
    "command": "Let the command print the value: {}",
}
