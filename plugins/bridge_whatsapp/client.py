"""The one call to Meta's Graph API: whose WhatsApp Business account this is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bridge import Account, AuthError, Http, Json, RateLimited, Rejected, Unavailable

DEFAULT_GRAPH_URL = "https://graph.facebook.com/v24.0"
BUDGET = "graph"

_TOKEN_CODES = frozenset({102, 190})
_PERMISSION_CODES = frozenset({3, 10, 200})
_LIMIT_CODES = frozenset({4, 17, 80008})
_UNTOLD_WAIT = 300.0
_SCOPE = "whatsapp_business_management"


def read_account(http: Http, *, graph_url: str, token: str, waba: str) -> Account:
    """
    Read name and currency of the WhatsApp Business account `waba`.

    Raises AuthError where Meta refuses the token or its permission, RateLimited where the app
    asked too often, Rejected where it says anything else. Meta answers 400 to an expired token
    (code 190) as well as to an unknown account (code 100), so its own code decides.
    """
    answer = http.request(
        "GET",
        f"{graph_url.rstrip('/')}/{waba}",
        budget=BUDGET,
        headers={"Authorization": f"Bearer {token}"},
        params={"fields": "id,name,currency"},
        accept=(400, 401, 403, 404),
    )
    told = _json(answer)
    if answer.status_code == 200 and told.get("id") != waba:
        raise Unavailable(f"Meta was asked for account {waba} and answered for {told.get('id')}")
    if answer.status_code == 200:
        return Account(
            id=waba, name=str(told.get("name") or ""), currency=told.get("currency"), scopes=(_SCOPE,)
        )
    error: Mapping[str, Any] = told["error"] if isinstance(told.get("error"), dict) else {}
    code, words = error.get("code"), error.get("message") or f"status {answer.status_code}"
    if code in _TOKEN_CODES or answer.status_code == 401:
        raise AuthError(
            f"Meta refused the access token: {words}. Create a system user token with {_SCOPE} in"
            " Meta Business Suite > Settings > System users and set access_token."
        )
    if code in _PERMISSION_CODES or answer.status_code == 403:
        raise AuthError(
            f"the access token may not read WhatsApp Business account {waba}: {words}. Assign the account to"
            f" the system user and give its token {_SCOPE}.",
            missing_scopes=(_SCOPE,),
        )
    if code in _LIMIT_CODES:
        wait = _wait(answer.headers.get("X-Business-Use-Case-Usage"))
        raise RateLimited(f"Meta limits calls for account {waba}: {words}", wait=wait, budget=BUDGET)
    raise Rejected(
        f"Meta does not show WhatsApp Business account {waba}: {words}. Check business_account (WhatsApp"
        " Manager > Settings shows the id) and that the token's system user has it.",
        code=str(code or answer.status_code),
        trace=str(error.get("fbtrace_id") or ""),
    )


def _wait(usage: str | None) -> float:
    """Return the seconds until Meta allows calls again; it tells minutes, for each business and use case."""
    try:
        told = json.loads(usage or "{}")
        minutes = [use["estimated_time_to_regain_access"] for uses in told.values() for use in uses]
        return float(max(minutes)) * 60 if minutes else _UNTOLD_WAIT
    except (ValueError, TypeError, KeyError, AttributeError):
        return _UNTOLD_WAIT


def _json(answer: Any) -> Mapping[str, Json]:
    try:
        told = answer.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Unavailable(f"Meta answered {answer.status_code} with something that is no JSON object")
    return told
