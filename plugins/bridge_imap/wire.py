"""IMAP commands sent ahead of their answers, and the answers as nested lists of bytes (RFC 9051, section 7)."""

from __future__ import annotations

import imaplib
import io
import re
import ssl
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from bridge import Rejected, Unavailable

Value: TypeAlias = "bytes | list[Value] | None"

LITERAL_LIMIT = 256 * 1024 * 1024
"""A longer literal is no mail but nonsense; its length is not allocated."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[()]|[^\s()"\[]+\[[^\]]*\](?:<\d+>)?|[^\s()"]+')
_ESCAPED = re.compile(rb"\\(.)")
_NIL = (b"NIL", b"nil", b"Nil")
_NEWS = re.compile(rb"\* \d+ EXISTS\b", re.IGNORECASE)
_CODE = re.compile(r"\A\[([^\] ]+)")


class Wire:
    """
    One connection with several commands under way.

    At a round trip of 20 ms that is worth a factor of forty. A server may work on several at once
    and answer in any order (RFC 9051, section 5.5; Dovecot does): what comes before the end of one
    command can belong to another, so each `wait` returns all that came. While anything is under
    way the connection is good for nothing else.
    """

    def __init__(self, imap: imaplib.IMAP4) -> None:
        self._imap = imap
        self._count = 0
        self._ended: dict[bytes, Rejected | None] = {}

    def send(self, command: bytes) -> bytes:
        """Send one command without waiting for its end; return its tag."""
        self._count += 1
        tag = b"W%d" % self._count
        try:
            self._imap.send(tag + b" " + command + b"\r\n")
        except OSError as error:
            raise Unavailable(f"the connection broke while sending: {error}") from error
        return tag

    def wait(self, tag: bytes, kind: bytes) -> list[list[Value]]:
        """
        Return the untagged responses named `kind` that come up to the end of the command `tag`.

        A response is the list of its values after the star: `* 7 FETCH (UID 9)` becomes
        [b"7", b"FETCH", [b"UID", b"9"]]. NIL is None. Raises Rejected when the command ended with NO or BAD,
        in the server's words, and Unavailable when the connection is dead or talks nonsense.
        """
        found: list[list[Value]] = []
        while tag not in self._ended:
            line = self._line()
            first, _, rest = line.partition(b" ")
            if first == b"*":
                name, _, after = rest.partition(b" ")
                if after[: len(kind)].upper() == kind and name.isdigit():
                    found.append([name, kind, *self._values(after[len(kind) :])])
                elif name.strip().upper() == kind:
                    found.append([kind, *self._values(after)])
                elif name.strip().upper() == b"BYE":
                    raise Unavailable(f"the server hung up: {_text(after)}")
                elif _literal_of(line) is not None:
                    self._values(after)
            else:
                self._ended[first] = _ending(line)
        refused = self._ended.pop(tag)
        if refused is not None:
            raise refused
        return found

    def run(self, command: bytes, kind: bytes) -> list[list[Value]]:
        """Send one command and return its responses named `kind`; nothing else may be under way."""
        return self.wait(self.send(command), kind)

    def begin_idle(self) -> tuple[bytes, bool]:
        """Send IDLE (RFC 2177); return its tag and whether a mail came meanwhile."""
        tag = self.send(b"IDLE")
        came = []
        while not (line := self._line()).startswith(b"+"):
            if line.startswith(tag):
                raise _ending(line) or Unavailable("the server ended IDLE before it began")
            came.append(line)
        _, news = self.idled()
        return tag, news or _tells_news(came)

    def idled(self) -> tuple[int, bool]:
        """Return how many lines came while idling, without waiting for any, and whether they tell of a mail."""
        came = []
        while self._has_more():
            came.append(self._line())
        return len(came), _tells_news(came)

    def _has_more(self) -> bool:
        """
        Say whether something has come that was not read yet; False at the end of the connection as well.

        Only looks: a line read without waiting would lose its beginning where the rest is still on its way.
        """
        sock, reader = self._imap.sock, self._imap.file
        assert isinstance(reader, io.BufferedReader)
        timeout = sock.gettimeout()
        sock.setblocking(False)
        try:
            return bool(reader.peek(1))
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            sock.settimeout(timeout)

    def end_idle(self, tag: bytes) -> bool:
        """Send DONE and return whether a mail came at the last moment."""
        self._imap.send(b"DONE\r\n")
        return bool(self.wait(tag, b"EXISTS"))

    def _line(self) -> bytes:
        try:
            line = self._imap.readline()
        except TimeoutError as error:
            raise Unavailable("the server went silent in the middle of an answer") from error
        except (OSError, imaplib.IMAP4.error) as error:
            raise Unavailable(f"the connection broke: {error}") from error
        if not line.endswith(b"\n"):
            raise Unavailable("the server closed the connection without a word")
        return line

    def _literal(self, length: int) -> bytes:
        if length > LITERAL_LIMIT:
            raise Unavailable(f"the server announced a text of {length} bytes")
        try:
            text = self._imap.read(length)
        except TimeoutError as error:
            raise Unavailable("the server went silent in the middle of a mail") from error
        except OSError as error:
            raise Unavailable(f"the connection broke: {error}") from error
        if len(text) != length:
            raise Unavailable("the server closed the connection in the middle of a mail")
        return text

    def _values(self, line: bytes) -> list[Value]:
        """Return the values of a response that goes on with `line`, reading on after each literal."""
        root: list[Value] = []
        stack = [root]
        while True:
            literal = _literal_of(line)
            for token in _TOKEN.findall(line if literal is None else line[: literal[0]]):
                first = token[0]
                if first == 40:  # (
                    inner: list[Value] = []
                    stack[-1].append(inner)
                    stack.append(inner)
                elif first == 41:  # )
                    if len(stack) == 1:
                        raise Unavailable(f"the answer makes no sense: {_text(line)}")
                    stack.pop()
                elif first == 34:  # "
                    text = token[1:-1]
                    stack[-1].append(_ESCAPED.sub(rb"\1", text) if b"\\" in text else text)
                else:
                    stack[-1].append(token if token not in _NIL else None)
            if literal is None:
                break
            stack[-1].append(self._literal(literal[1]))
            line = self._line()
        if len(stack) != 1:
            raise Unavailable(f"the answer makes no sense: {_text(line)}")
        return root


def _literal_of(line: bytes) -> tuple[int, int] | None:
    """Return where a literal is announced at the end of a line, and its length; None where none is."""
    if not line.endswith(b"}\r\n"):
        return None
    start = line.rfind(b"{")
    length = line[start + 1 : -3]
    return (start, int(length)) if start >= 0 and length.isdigit() else None


def _ending(line: bytes) -> Rejected | None:
    """Return what the end of a command says: None for OK."""
    words = line.split(None, 2)
    status = words[1].upper() if len(words) > 1 else b""
    if status == b"OK":
        return None
    if status in (b"NO", b"BAD"):
        return refusal(words[-1])
    raise Unavailable(f"the answer makes no sense: {_text(line)}")


def pairs(response: Sequence[Value]) -> dict[bytes, Value]:
    """
    Return the items of a FETCH or STATUS response by name.

    `BODY[HEADER.FIELDS (DATE)]` and `BODY[TEXT]<0>` are found under what stands before the
    first blank or closing bracket: `BODY[HEADER.FIELDS`, `BODY[TEXT`.
    """
    items = response[2]
    if not isinstance(items, list) or len(items) % 2:
        raise Unavailable(f"the answer makes no sense: {response!r:.100}")
    found: dict[bytes, Value] = {}
    for name, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(name, bytes):
            raise Unavailable(f"the answer makes no sense: {response!r:.100}")
        found[_item(name)] = value
    return found


@lru_cache(maxsize=256)
def _item(name: bytes) -> bytes:
    return re.split(rb"[ \]]", name, maxsplit=1)[0].upper()


def number(value: Value) -> int:
    """Return a number of a response; Unavailable if it is none."""
    if isinstance(value, bytes) and value.isdigit():
        return int(value)
    raise Unavailable(f"the answer makes no sense: {value!r:.100} is no number")


def uid_set(uids: Sequence[int]) -> bytes:
    """Return UIDs as an IMAP set; neighbours become ranges, which therefore name no other UID."""
    runs: list[list[int]] = []
    for uid in sorted(uids):
        if runs and uid == runs[-1][1] + 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return b",".join(b"%d" % first if first == last else b"%d:%d" % (first, last) for first, last in runs)


def refusal(said: bytes) -> Rejected:
    """Return what a NO or BAD said, its response code (RFC 5530) as `code`."""
    text = _text(said)
    code = _CODE.match(text)
    return Rejected(text, code=code[1].upper() if code else "")


def _tells_news(lines: Sequence[bytes]) -> bool:
    for line in lines:
        if line[:5].upper() == b"* BYE":
            raise Unavailable(f"the server hung up: {_text(line[5:])}")
    return any(_NEWS.match(line) for line in lines)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").strip()[:300]
