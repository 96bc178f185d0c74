"""A private Dovecot on loopback, with levers: a real server, started and stopped by the test that needs it."""

from __future__ import annotations

import base64
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import imapclient

REMEDY = "needs a real Dovecot and root; remedy: sudo .ci/install-servers, then run the tests as root"
USER = "sales@example.com"
PASSWORD = "secret1"
JWT_KEY = b"test-only-hmac-key-not-a-secret!"

_CONFIG = """
base_dir = {d}/run
state_dir = {d}/state
log_path = {d}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{d}/tls/cert.pem
ssl_key = <{d}/tls/key.pem
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
first_valid_uid = 1
mail_location = maildir:{d}/mail/%n:LAYOUT=fs
mail_max_userip_connections = 200
mailbox_idle_check_interval = 1 s
{more}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {d}/users
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {d}/oauth2.conf.ext
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {d}/users
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    special_use = \\Sent
    auto = subscribe
  }}
  mailbox Drafts {{
    special_use = \\Drafts
    auto = subscribe
  }}
  mailbox Junk {{
    special_use = \\Junk
    auto = subscribe
  }}
  mailbox Archive {{
    special_use = \\Archive
    auto = subscribe
  }}
}}
service imap-login {{
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {tls_port}
    ssl = yes
  }}
}}
"""

_OAUTH = """
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={d}/keys/
username_attribute = email
"""


def available() -> bool:
    """Say whether a private Dovecot can be started here."""
    return bool(shutil.which("dovecot") and shutil.which("openssl")) and os.geteuid() == 0


class Dovecot:
    """
    One instance with the mailbox of USER, plain and STARTTLS on `port`, TLS on `tls_port`.

    Its certificate is for localhost and signed by itself: `certificate`. `capability` replaces what it
    says it can do, `mechanisms` how it lets people sign in.
    """

    host = "localhost"
    user = USER

    def __init__(
        self,
        *,
        capability: str = "",
        mechanisms: str = "plain login xoauth2 oauthbearer",
        password: str = PASSWORD,
    ) -> None:
        self.password = password
        # Dovecot makes sockets in here, whose paths may have 107 bytes: pytest's own are too long
        self.folder = Path(tempfile.mkdtemp(prefix="dv", dir="/tmp"))
        self.port, self.tls_port = _free_ports(2)
        self._more = f"imap_capability = {capability}" if capability else ""
        self._mechanisms = mechanisms
        self._lay_out()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None:
            sys.stderr.write((self.folder / "dovecot.log").read_text(errors="replace")[-4000:])
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def certificate(self) -> str:
        return str(self.folder / "tls/cert.pem")

    @property
    def settings(self) -> dict[str, object]:
        """Return the connector settings for this mailbox."""
        return {
            "host": self.host,
            "port": self.port,
            "tls": "none",
            "user": self.user,
            "password": self.password,
        }

    def append(
        self,
        folder: str,
        *raws: bytes,
        flags: Sequence[str] = (),
        at: datetime | None = None,
    ) -> None:
        """Put mails into a folder."""
        with self.session() as session:
            for raw in raws:
                session.append(folder, raw, flags, at)

    @contextmanager
    def session(self) -> Iterator[imapclient.IMAPClient]:
        """Open a second connection, as another mail program would."""
        with imapclient.IMAPClient("127.0.0.1", port=self.port, ssl=False, timeout=60) as session:
            session.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session.login(self.user, self.password)
            yield session

    def doveadm(self, *words: str) -> str:
        """Run doveadm on this instance and return what it printed."""
        done = subprocess.run(
            ["doveadm", "-c", str(self.folder / "dovecot.conf"), *words],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def kick(self) -> None:
        """Cut every connection of USER."""
        subprocess.run(
            ["doveadm", "-c", str(self.folder / "dovecot.conf"), "kick", USER], capture_output=True
        )

    def deliver(self, *raws: bytes) -> None:
        """Put mails into INBOX as a delivery agent does, whatever their bytes."""
        new = self.folder / "mail/sales/new"
        mail = pwd.getpwnam("mail")
        if not new.exists():
            self.doveadm("mailbox", "status", "-u", USER, "messages", "INBOX")
        for number, raw in enumerate(raws):
            path = new.parent / "tmp" / f"{time.time_ns()}.M{number}.test"
            path.write_bytes(raw)
            os.chown(path, mail.pw_uid, mail.pw_gid)
            path.rename(new / path.name)

    def empty(self) -> None:
        """Begin with an empty mailbox, as if it had never been used."""
        self.kick()
        shutil.rmtree(self.folder / "mail/sales", ignore_errors=True)

    def start(self) -> None:
        """Start the server, again on the same ports and with the same mail."""
        self._process = subprocess.Popen(
            ["dovecot", "-F", "-c", str(self.folder / "dovecot.conf")], stderr=subprocess.DEVNULL
        )
        for port in (self.port, self.tls_port):
            _await_port(port)

    def stop(self) -> None:
        """Stop the server and cut its connections; its mail stays until the end."""
        self.kick()
        self._process.terminate()
        self._process.wait(60)

    def _lay_out(self) -> None:
        d = self.folder
        for name in ("run", "state", "mail", "tls", "keys/default/HS256"):
            (d / name).mkdir(parents=True)
        d.chmod(0o755)
        mail = pwd.getpwnam("mail")
        os.chown(d / "mail", mail.pw_uid, mail.pw_gid)
        home = d / "mail/sales"
        line = f"{USER}:{{PLAIN}}{self.password}:{mail.pw_uid}:{mail.pw_gid}::{home}::"
        (d / "users").write_text(line + "\n")
        (d / "keys/default/HS256/default").write_bytes(base64.b64encode(JWT_KEY))
        (d / "oauth2.conf.ext").write_text(_OAUTH.format(d=d))
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        files = ["-keyout", str(d / "tls/key.pem"), "-out", str(d / "tls/cert.pem")]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", *names, *files],
            check=True,
            capture_output=True,
        )
        config = _CONFIG.format(
            d=d, port=self.port, tls_port=self.tls_port, mechanisms=self._mechanisms, more=self._more
        )
        (d / "dovecot.conf").write_text(config)


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody has, below those that the system gives to connections while Dovecot is stopped."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(10_000, 32_000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        found += [port] if port not in found else []
    return found


def _await_port(port: int) -> None:
    for _ in range(1200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"Dovecot does not listen on {port}")
