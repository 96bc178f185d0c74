"""What goes wrong with a mail server, as the errors that say what happens next."""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from bridge import BridgeError, RateLimited, Rejected, Unavailable
from bridge_imap.wire import refusal

THROTTLED_SECONDS = 300.0
"""How long to leave a server alone that says "too much" and not for how long."""

_NOT_NOW = {"UNAVAILABLE", "INUSE", "LIMIT", "OVERQUOTA"}
"""Response codes (RFC 5530) that speak of the moment, not of the command."""

_BACKOFF = re.compile(r"Backoff Time: (\d+) milliseconds", re.IGNORECASE)
_TOO_MUCH = re.compile(r"throttled|too many|bandwidth limit|try again later", re.IGNORECASE)


@contextmanager
def told(place: str, what: str) -> Iterator[None]:
    """
    Turn whatever goes wrong inside into an error of the contract that begins with `place` and `what`.

    `place` names the connection and the server, such as "sales-mailbox: imap.example.com:993". A NO or
    BAD is RateLimited where it says "not now", else Unavailable.
    """
    try:
        yield
    except Rejected as error:
        raise refused(place, what, error) from error
    except Unavailable as error:
        text = str(error)
        raise Unavailable(text if text.startswith(place) else f"{place} {what}: {text}") from error
    except BridgeError:
        raise
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(
            f"{place} {what}: its certificate is not trusted ({error.verify_message}). Renew it, or name"
            " the authority that signed it in the environment variable SSL_CERT_FILE."
        ) from error
    except ssl.SSLError as error:
        raise Unavailable(
            f"{place} {what}: {error.reason or error}. Does this port speak what settings.tls says?"
        ) from error
    except imaplib.IMAP4.abort as error:
        raise Unavailable(f"{place} {what}: {error}") from error
    except imaplib.IMAP4.error as error:
        said = spoken(error)
        if said.upper().startswith(b"* BYE"):
            raise Unavailable(f"{place} {what}: {said[6:].decode('utf-8', 'replace')}") from error
        raise refused(place, what, refusal(said)) from error
    except OSError as error:
        raise Unavailable(f"{place} {what}: {error.strerror or error}") from error
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        # a server that talks nonsense makes the libraries stumble in these ways
        raise Unavailable(f"{place} {what}: its answer makes no sense ({error})") from error


def refused(place: str, what: str, said: Rejected) -> RateLimited | Unavailable:
    """
    Return what a NO or BAD means, as told above.

    Exchange says "Request is throttled. Suggested Backoff Time: 299961 milliseconds", Gmail
    "[OVERQUOTA] Account exceeded command or bandwidth limits".
    """
    text = f"{place} {what}: {said}"
    wait = not_now(said)
    return Unavailable(text) if wait is None else RateLimited(text, wait=wait)


def not_now(said: Rejected) -> float | None:
    """Return how many seconds to wait where a refusal speaks of the moment, None where of the command."""
    backoff = _BACKOFF.search(str(said))
    if backoff:
        return int(backoff[1]) / 1000
    return THROTTLED_SECONDS if said.code in _NOT_NOW or _TOO_MUCH.search(str(said)) else None


def spoken(error: Exception) -> bytes:
    """Return what the server said; the libraries wrap it as `LOGIN failed: b'...'` or the like."""
    said = str(error.args[0]) if error.args else ""
    quoted = re.search(r"""\bb(['"])(.*)\1""", said)
    return (quoted[2] if quoted else said).encode("utf-8", "replace")
