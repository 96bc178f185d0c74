"""Signing in: which mechanism a server takes, and what to do when it refuses."""

from __future__ import annotations

import imaplib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import imapclient

from bridge import AuthError, Json
from bridge_imap.failures import not_now, spoken, told
from bridge_imap.wire import refusal

_MICROSOFT = re.compile(r"(^|\.)(office365\.com|office365\.us|outlook\.com|partner\.outlook\.cn)$")
_GOOGLE = re.compile(r"(^|\.)(gmail\.com|googlemail\.com|google\.com)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where the mailbox is and how to sign in; a token goes before a password."""

    host: str
    port: int
    tls: str
    user: str
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @classmethod
    def of(cls, settings: Mapping[str, Json]) -> Server:
        """Read the settings of the connector, which its schema has checked."""
        return cls(
            host=settings["host"],
            port=settings.get("port", 993),
            tls=settings.get("tls", "implicit"),
            user=settings["user"],
            password=settings.get("password", ""),
            token=settings.get("token", ""),
        )

    @property
    def account(self) -> str:
        """The mailbox as a stable id: `user@host` in lower case; a user that is an address says enough."""
        user = self.user.strip().lower()
        return user if "@" in user else f"{user}@{self.host.strip().rstrip('.').lower()}"


def sign_in(imap: imapclient.IMAPClient, server: Server, connection: str) -> None:
    """
    Sign in with the best mechanism that the server offers.

    Raises AuthError with the remedy when it refuses, RateLimited when it says "not now".
    """
    place = f"{connection}: {server.host}:{server.port}"
    with told(place, "failed before the sign-in"):
        offered = {c.decode("ascii", "replace") for c in imap.capabilities()}
    with told(place, "broke off during the sign-in"):
        try:
            if server.token and "AUTH=XOAUTH2" not in offered and "AUTH=OAUTHBEARER" in offered:
                _bearer(imap, server)
            elif server.token:
                _xoauth2(imap, server)
            elif "AUTH=PLAIN" in offered:
                imap.sasl_login("PLAIN", lambda _: f"\0{server.user}\0{server.password}")
            elif "LOGINDISABLED" in offered:
                raise AuthError(_refusal(server, connection, "LOGINDISABLED: no sign-in without TLS"))
            else:
                imap.login(server.user, server.password)
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            said = refusal(spoken(error))
            if not_now(said) is not None:
                raise said from None
            # no traceback may show what was sent, so the library's error goes no further
            raise AuthError(_refusal(server, connection, str(said))) from None


def _xoauth2(imap: imapclient.IMAPClient, server: Server) -> None:
    """Google and Microsoft: a refusal comes as a challenge that wants an empty line."""
    answers = iter([f"user={server.user}\x01auth=Bearer {server.token}\x01\x01"])
    imap.sasl_login("XOAUTH2", lambda _: next(answers, ""))


def _bearer(imap: imapclient.IMAPClient, server: Server) -> None:
    """RFC 7628, section 3.1: a refusal comes as a challenge that wants \\x01."""
    user = server.user.replace("=", "=3D").replace(",", "=2C")
    first = f"n,a={user},\x01host={server.host}\x01port={server.port}\x01auth=Bearer {server.token}\x01\x01"
    answers = iter([first])
    imap.sasl_login("OAUTHBEARER", lambda _: next(answers, "\x01"))


def _refusal(server: Server, connection: str, said: str) -> str:
    host = server.host.lower()
    if server.token:
        remedy = (
            "The access token is wrong, expired or not meant for IMAP; let settings.token"
            ' be "${command:...}" with a command that prints a fresh one.'
        )
    elif _MICROSOFT.search(host):
        return (
            f"{connection}: Microsoft does not accept passwords; the mail waits on the server. Replace"
            ' settings.password by settings.token: "${command:...}" with a command that prints an OAuth 2'
            f" access token for IMAP.AccessAsUser.All. The server said: {said}"
        )
    elif _GOOGLE.search(host):
        remedy = "Google takes app passwords only: create one at myaccount.google.com/apppasswords."
    elif said.startswith("LOGINDISABLED"):
        remedy = "Set settings.tls to starttls or implicit."
    else:
        remedy = "Check settings.user and settings.password."
    return f"{connection}: {server.host} refused to sign {server.user} in: {said}. {remedy}"
