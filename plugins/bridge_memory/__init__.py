"""
A CRM and a channel in a folder of text files: the connector to read first.

Each stream is one file of JSON lines that only grows, so the folder can be filled with an
editor, watched with `tail -f` and shared by several processes. It needs no account anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from bridge import (
    Account,
    ConnectorSpec,
    Context,
    Created,
    Delivery,
    Field,
    Hint,
    Json,
    Location,
    Match,
    Page,
    Person,
    Phase,
    Receipt,
    Record,
    Reply,
    Request,
    Skip,
    StreamSpec,
    Write,
    hookimpl,
)
from bridge_memory import receiver, sink, source
from bridge_memory.client import Folder

SETTINGS: Mapping[str, Json] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["directory", "key"],
    "properties": {
        "directory": {
            "type": "string",
            "minLength": 1,
            "format": "path",
            "description": "The folder that holds the streams as JSON lines; made when it is missing.",
        },
        "key": {
            "type": "string",
            "minLength": 8,
            "writeOnly": True,
            "description": "The folder's key: what opens it, and what its webhook requests are signed with.",
        },
        "page_size": {
            "type": "integer",
            "minimum": 1,
            "default": 100,
            "description": "How many lines are read and stored at once.",
        },
    },
}


class Memory:
    """The connector: hands each call on to the module that knows its side of the folder."""

    def __init__(self, folder: Folder, key: str, page_size: int, context: Context) -> None:
        self._folder = folder
        self._key = key
        self._page_size = page_size
        self._context = context

    def check(self) -> Account:
        return self._folder.account()

    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        return source.pull(self._folder, self._context, self._page_size, stream, cursor)

    def fetch(self, stream: str, ids: Sequence[str]) -> Iterator[Record]:
        return source.fetch(self._folder, stream, ids)

    def open(self, ref: str) -> BinaryIO:
        return BytesIO(self._folder.file(ref))

    def verify(self, request: Request) -> Reply:
        return receiver.verify(request, self._key)

    def split(self, delivery: Delivery) -> Iterator[Record | Skip | Hint]:
        return receiver.split(delivery, self._context.capture)

    def find(self, people: Sequence[Person]) -> Iterator[Match]:
        return sink.find(self._folder, people)

    def read(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[Record]:
        return source.fetch(self._folder, stream, ids)

    def push(self, writes: Sequence[Write]) -> Iterator[Receipt]:
        return sink.push(self._folder, writes)

    def locate(self, writes: Sequence[Write]) -> Iterator[Location]:
        return sink.locate(self._folder, writes)

    def describe(self, stream: str) -> Sequence[Field]:
        return self._folder.fields(stream)

    def create(self, stream: str, fields: Sequence[Field]) -> Created:
        return sink.create_fields(self._folder, stream, fields)


def open_folder(settings: Mapping[str, Json], context: Context) -> Memory:
    """Make the connector; nothing is read or written before its first call."""
    key = settings["key"]
    folder = Folder(Path(settings["directory"]), key, context.clock)
    return Memory(folder, key, settings.get("page_size", 100), context)


SPEC = ConnectorSpec(
    name="memory",
    title="A folder of text files",
    streams=(
        StreamSpec(name="owners", deletes="tombstone"),
        StreamSpec(name="contacts", after=("owners",), deletes="tombstone"),
        StreamSpec(name="messages", after=("contacts",), deletes="tombstone"),
        StreamSpec(name="entries", after=("contacts",), deletes="tombstone"),
    ),
    settings=SETTINGS,
    mapping="memory.yaml",
    open=open_folder,
    contact_stream="contacts",
    docs="docs/memory.md",
)


@hookimpl
def bridge_connectors() -> Iterable[ConnectorSpec]:
    return [SPEC]
