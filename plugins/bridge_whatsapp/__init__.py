"""WhatsApp Cloud API: receives what customers and the team write on WhatsApp, signed by Meta."""

from __future__ import annotations

from collections.abc import Mapping

from bridge import Budget, ConnectorSpec, Context, Json, StreamSpec, hookimpl
from bridge_whatsapp.client import BUDGET, DEFAULT_GRAPH_URL
from bridge_whatsapp.receiver import WhatsApp
from bridge_whatsapp.words import MESSAGE_STREAM, STATUS_STREAM

SETTINGS: Mapping[str, Json] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["app_secret", "verify_token", "business_account"],
    "properties": {
        "app_secret": {
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "description": "Signs every delivery: Meta app dashboard > App settings > Basic > App secret.",
        },
        "verify_token": {
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "description": "A word of your choice; type the same at Meta > WhatsApp > Configuration.",
        },
        "business_account": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "Id of the WhatsApp Business account (WABA): WhatsApp Manager > Settings.",
        },
        "access_token": {
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "description": "Optional: checks the account. Token of a system user with"
            " whatsapp_business_management.",
        },
        "portfolio": {
            "type": "string",
            "minLength": 1,
            "description": "Optional: id of the business portfolio, within which user ids are unique; the"
            " same for all its accounts. Default: the business account.",
        },
        "graph_url": {
            "type": "string",
            "pattern": "^https?://",
            "default": DEFAULT_GRAPH_URL,
            "description": "Address and version of Meta's Graph API.",
        },
    },
}


def open_whatsapp(settings: Mapping[str, Json], context: Context) -> WhatsApp:
    """Make the connector of one connection; no I/O."""
    return WhatsApp(
        app_secret=settings["app_secret"],
        verify_token=settings["verify_token"],
        business_account=settings["business_account"],
        portfolio=settings.get("portfolio") or settings["business_account"],
        graph_url=settings.get("graph_url", DEFAULT_GRAPH_URL),
        access_token=settings.get("access_token"),
        context=context,
    )


SPEC = ConnectorSpec(
    name="whatsapp",
    title="WhatsApp Cloud API",
    streams=(
        StreamSpec(name=MESSAGE_STREAM),
        StreamSpec(name=STATUS_STREAM, after=(MESSAGE_STREAM,)),
    ),
    settings=SETTINGS,
    mapping="whatsapp.yaml",
    open=open_whatsapp,
    budgets=(Budget(name=BUDGET, calls=200, seconds=3600.0),),
    docs="docs/whatsapp.md",
)


@hookimpl
def bridge_connectors() -> tuple[ConnectorSpec, ...]:
    """Return the WhatsApp connector."""
    return (SPEC,)
