"""The IMAP connector: mailboxes as a channel, read only."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bridge import (
    Account,
    ConfigError,
    ConnectorSpec,
    Context,
    Json,
    Page,
    Phase,
    StreamSpec,
    hookimpl,
)
from bridge_imap.decoding import Decoder
from bridge_imap.folders import missing
from bridge_imap.people import MailContext
from bridge_imap.records import STREAM
from bridge_imap.sign_in import Server
from bridge_imap.source import Mailbox

MAX_MESSAGE_BYTES = 25 * 1024 * 1024

SETTINGS: Mapping[str, Json] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["host", "user"],
    "oneOf": [{"required": ["password"]}, {"required": ["token"]}],
    "properties": {
        "host": {
            "type": "string",
            "minLength": 1,
            "description": "The IMAP server, such as imap.example.com.",
        },
        "port": {
            "type": "integer",
            "minimum": 1,
            "maximum": 65535,
            "default": 993,
            "description": "Its port: 993 for implicit TLS, mostly 143 for starttls.",
        },
        "tls": {
            "enum": ["implicit", "starttls", "none"],
            "default": "implicit",
            "description": "How the connection is encrypted; none is for servers on this machine only.",
        },
        "user": {"type": "string", "minLength": 1, "description": "The user name, mostly the mail address."},
        "password": {
            "type": "string",
            "writeOnly": True,
            "description": "The password or app password. Microsoft takes none, only a token.",
        },
        "token": {
            "type": "string",
            "writeOnly": True,
            "description": 'An OAuth 2 access token, as "${command:...}" with a command that prints a fresh one.',
        },
        "folders": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "uniqueItems": True,
            "description": "The folders to read; by default INBOX, sent mail and the archive, on Gmail all mail.",
        },
        "addresses": {
            "type": "array",
            "items": {"type": "string", "format": "email"},
            "description": "Further addresses of this mailbox: aliases and groups. Mail from them is ours.",
        },
        "max_message_bytes": {
            "type": "integer",
            "minimum": 65536,
            "default": MAX_MESSAGE_BYTES,
            "description": "Of a larger mail only the beginning of the text is read, and the names of its attachments.",
        },
    },
}


class Imap:
    """One mailbox."""

    def __init__(self, settings: Mapping[str, Json], context: Context) -> None:
        self._context = context
        self._server = Server.of(settings)
        if self._server.tls == "none" and not _is_this_machine(self._server.host):
            raise ConfigError(
                f"connections.{context.connection}.settings.tls: none would send the password of"
                f" {self._server.user} readable over the network to {self._server.host}."
                " Use implicit (port 993) or starttls (port 143)."
            )
        self._named: Sequence[str] = settings.get("folders", ())
        self._own = MailContext(
            own_addresses=frozenset(
                address.lower() for address in (self._server.user, *settings.get("addresses", ()))
            ),
            own_domains=frozenset(domain.lower() for domain in context.own_domains),
        )
        self.decode = Decoder(own=self._own).decode
        self._mailbox = Mailbox(
            server=self._server,
            context=context,
            named=self._named,
            own=self._own,
            limit=settings.get("max_message_bytes", MAX_MESSAGE_BYTES),
        )

    def check(self) -> Account:
        """Sign in and find the folders; a mailbox without a recognised folder of sent mail says so."""
        client, folders = self._mailbox.connect()
        self._mailbox.give_back(client)
        return Account(
            id=self._server.account,
            name=self._server.user,
            scopes=[folder.name for folder in folders],
            missing_scopes=missing(folders, self._named),
        )

    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        """Yield the mails after `cursor`; see Mailbox.pull. A mail is always read as a whole, whatever `fields`."""
        return self._mailbox.pull(phase, cursor)

    def wait(self, stream: str, seconds: float) -> bool:
        """Block until a mail arrives or `seconds` pass."""
        return self._mailbox.wait(seconds)

    def close(self) -> None:
        """End waiting and drop the connections."""
        self._mailbox.close()


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") in ("localhost", "localhost.localdomain")


SPEC = ConnectorSpec(
    name="imap",
    title="Mailbox (IMAP)",
    streams=[StreamSpec(name=STREAM, phases=("live", "backfill"), every={"live": 60.0})],
    settings=SETTINGS,
    mapping="imap.yaml",
    open=Imap,
    docs="docs/imap.md",
)


@hookimpl
def bridge_connectors() -> Iterable[ConnectorSpec]:
    """Bring the connector `imap`."""
    return [SPEC]
