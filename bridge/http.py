"""The lent session: time-outs, budgets per account, retries of safe calls, and what each status means."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from typing import Any

import orjson
import requests
import tenacity
from requests.adapters import HTTPAdapter

from bridge import refusals
from bridge.budgets import PATIENCE, Budgets
from bridge.connector import Budget
from bridge.errors import AuthError, BridgeError, ConfigError, RateLimited, Rejected, Unavailable
from bridge.model import Json
from bridge.redact import Redactor, secrets_in

__all__ = ["Budgets", "MemoryTokens", "Redactor", "Session", "json_of", "secrets_in"]

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 30.0
ATTEMPTS = 4
UNKNOWN_RESET = 10.0
USER_AGENT = f"crmbridge/{version('crmbridge')}"
PAUSED = {408, 423, 477}
SAFE_METHODS = {"GET", "HEAD"}


def json_of(response: requests.Response) -> Json:
    """Return the JSON of a response; raises Unavailable where the vendor sent something else."""
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        pass
    kind = response.headers.get("Content-Type", "no content type")
    raise Unavailable(
        f"{_place(response.url)} answered {response.status_code} with {len(response.content)} bytes of {kind}"
        " where JSON was expected; the next sync asks again"
    )


class Session:
    """
    The `Http` that a connector is lent; one for each connection, usable by several threads.

    `account` names whose budgets are charged: the connection's name at first, later the account's id
    (`charge_to`). `share` is the part of its `budgets` that is ours. Cookies are not kept and ~/.netrc is not read.
    """

    def __init__(
        self,
        *,
        connection: str,
        budgets: Sequence[Budget] = (),
        shared: Budgets | None = None,
        share: float = 1.0,
        redactor: Redactor | None = None,
        timeouts: tuple[float, float] = (CONNECT_TIMEOUT, READ_TIMEOUT),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connection = connection
        self.budgets = tuple(budgets)
        self.share = share
        self._shared = shared or Budgets()
        self._redactor = redactor or Redactor()
        self._connect, self._read = timeouts
        self._attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_worth_retrying),
            wait=_pause,
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            sleep=sleep,
            reraise=True,
        )
        self._headers = requests.utils.default_headers()
        self._headers["User-Agent"] = USER_AGENT
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=16))
        self._ways: dict[str, Mapping[str, Any]] = {}
        self.account = connection
        self._shared.declare(connection, self.budgets, share=share, known=False)

    def __repr__(self) -> str:
        return f"Session(connection={self.connection!r}, account={self.account!r})"

    def charge_to(self, account: str, *, zone: str | None = None) -> None:
        """Charge an account from now on, and with what was called before; `zone` is its time zone."""
        before, self.account = self.account, account
        self._shared.declare(account, self.budgets, share=self.share, zone=zone)
        if before == self.connection != account:
            self._shared.move(before, account)

    def pause(self, seconds: float, *, budget: str | None = None) -> None:
        """Start no call of this budget for so long: the vendor refused one in words that only its connector knows."""
        self._shared.block(self.account, budget, seconds)

    def close(self) -> None:
        """Give back the sockets."""
        self._session.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        budget: str | None = None,
        cost: int = 1,
        safe: bool | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | int | Sequence[str]] | None = None,
        json: Json = None,
        data: bytes | Mapping[str, str] | None = None,
        accept: Sequence[int] = (),
        timeout: float | None = None,
    ) -> requests.Response:
        """
        Send one request and return a 2xx response, or one whose status is in `accept`.

        A safe call (default: GET and HEAD) that finds the vendor unavailable is sent up to four
        times, and pays its `cost` each time. A 429 is raised at once, and no call of its budget starts before
        the vendor's reset.

        Raises what `bridge.connector.Http` promises, and ConfigError for an address that is none.
        """
        sent = dict(headers or {})
        if json is not None:
            data = orjson.dumps(json)
            sent.setdefault("Content-Type", "application/json")
        if safe is None:
            safe = method.upper() in SAFE_METHODS

        def once() -> requests.Response:
            self._shared.acquire(self.account, budget, cost=cost)
            response = self._send(method, url, sent, params, data, timeout or self._read, safe)
            self._shared.learn(self.account, budget, response.headers)
            if response.status_code < 300 or response.status_code in accept:
                return response
            error = self._refusal(response)
            if isinstance(error, RateLimited):
                error.budget = budget or ""
                self._shared.block(self.account, budget, error.wait)
            raise error

        return self._attempts(once) if safe else once()

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        params: Mapping[str, str | int | Sequence[str]] | None,
        data: bytes | Mapping[str, str] | None,
        timeout: float,
        safe: bool,
    ) -> requests.Response:
        failed: BridgeError
        whole = self._headers.copy()
        whole.update(headers)
        try:
            # Not prepared by the session, which takes twice as long and overwrites our key from ~/.netrc.
            prepared = requests.Request(
                method.upper(), url, headers=whole, params=params, data=data
            ).prepare()
            return self._session.send(
                prepared,
                timeout=(self._connect, timeout),
                allow_redirects=safe,
                **self._way_to(prepared.url or url),
            )
        except requests.Timeout:
            failed = Unavailable(
                self._say(f"{method} {_place(url)}: no answer within {timeout:g} s; the next sync asks again")
            )
        except ValueError as error:  # InvalidURL, MissingSchema, InvalidSchema, InvalidHeader
            failed = ConfigError(
                self._say(f"{method} {_place(url)}: cannot be sent: {error}; check the settings")
            )
        except requests.RequestException as error:
            failed = Unavailable(
                self._say(
                    f"{method} {_place(url)}: {_reason(error)}; check the network; the next sync asks again"
                )
            )
        # Raised out here, so that no chained exception of requests carries the URL's query or a header along.
        raise failed

    def _way_to(self, url: str) -> Mapping[str, Any]:
        """Return the proxy and the certificates that the environment names for a host; to ask it takes 0.3 ms."""
        host = url[: url.find("/", len("https://"))]
        if host not in self._ways:
            self._ways[host] = self._session.merge_environment_settings(url, {}, False, None, None)
        return self._ways[host]

    def _refusal(self, response: requests.Response) -> BridgeError:
        status = response.status_code
        body = refusals.json_body(response)
        call = f"{response.request.method} {_place(response.url)}: {status}"
        words = refusals.message(body)
        said = f", {words}" if words else ""
        if status in (401, 403):
            missing = refusals.missing_scopes(body)
            scopes = f" Missing scopes: {', '.join(missing)}." if missing else ""
            return AuthError(
                self._say(f"{call}, the vendor refused the key{said}.{scopes} Renew the key or its rights."),
                missing_scopes=missing,
            )
        if status == 429:
            wait = refusals.rate_limit_wait(response)
            wait = UNKNOWN_RESET if wait is None else wait
            return RateLimited(
                self._say(f"{call}, too many calls{said}; the next one in {wait:g} s"), wait=wait
            )
        if status >= 500 or status in PAUSED:
            return Unavailable(
                self._say(f"{call}, the vendor is not available{said}; the next sync asks again"),
                wait=refusals.retry_after(response),
            )
        return Rejected(
            self._say(f"{call}{said or ', refused without a reason'}"),
            code=refusals.code(body, "category", "code", "errorCode", "error_code"),
            existing_id=refusals.existing_id(body),
            trace=refusals.code(
                body, "correlationId", "correlation_id", "requestId", "request_id", "fbtrace_id"
            ),
        )

    def _say(self, message: str) -> str:
        return self._redactor.clean(f"{self.connection}: {message}")


class MemoryTokens:
    """
    The `Tokens` of one process: each token is fetched by one thread while the others wait.

    A token counts as ended a minute before its time, or after half of it if it lives shorter.
    """

    def __init__(
        self, *, redactor: Redactor | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._redactor = redactor or Redactor()
        self._now = now
        self._lock = threading.Lock()
        self._leases: dict[str, threading.Lock] = {}
        self._known: dict[str, tuple[str, float]] = {}

    def __repr__(self) -> str:
        return f"MemoryTokens({', '.join(sorted(self._known))})"

    def get(self, name: str, fetch: Callable[[], tuple[str, float]]) -> str:
        """
        Return the token `name`.

        `fetch` gives (token, seconds it lives); it is called when there is none or it ends soon.
        """
        with self._lock:
            lease = self._leases.setdefault(name, threading.Lock())
        with lease:
            token, ends = self._known.get(name, ("", float("-inf")))
            if self._now() < ends:
                return token
            token, lives = fetch()
            self._redactor.add(token)
            self._known[name] = (token, self._now() + max(lives - 60.0, lives / 2))
            return token

    def drop(self, name: str) -> None:
        """Forget a token the vendor refused, so that the next `get` fetches a new one."""
        self._known.pop(name, None)


def _worth_retrying(error: BaseException) -> bool:
    return isinstance(error, Unavailable) and (error.wait or 0.0) <= PATIENCE


_backoff = tenacity.wait_exponential(multiplier=0.5, max=20.0) + tenacity.wait_random(0.0, 0.5)


def _pause(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Unavailable) and error.wait is not None:
        return error.wait
    return _backoff(state)


def _place(url: str) -> str:
    """Return the address without user, query and fragment, where secrets stand."""
    address = re.split("[?#]", url)[0].partition("://")[2] or "an address without https://"
    host, slash, path = address.partition("/")
    return host.rpartition("@")[2] + slash + path


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refused the connection"
    if isinstance(error, requests.ConnectionError):
        return "no connection, or it broke off"
    return f"the answer could not be read ({type(error).__name__})"
