"""The inbound API: any program of the company tells what happened with a customer, by HTTP and JSON."""

from __future__ import annotations

from collections.abc import Mapping

from bridge import ConfigError, ConnectorSpec, Context, Json, StreamSpec, hookimpl
from bridge_api.receiver import Api
from bridge_api.words import STREAM

SETTINGS: Mapping[str, Json] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["sources"],
    "properties": {
        "sources": {
            "type": "object",
            "minProperties": 1,
            "description": "Who may send, by a name of your choice that is shown on what they send.",
            "propertyNames": {"pattern": "^[a-z][a-z0-9_-]{0,49}$"},
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["token"],
                "properties": {
                    "token": {
                        "type": "string",
                        "minLength": 16,
                        "writeOnly": True,
                        "description": "The bearer token of this source, as made by: openssl rand -hex 32",
                    }
                },
            },
        },
        "account": {
            "type": "string",
            "minLength": 1,
            "default": "inbound",
            "description": "Keys what is stored; leave it, unless two separate APIs share one store.",
        },
    },
}


def open_api(settings: Mapping[str, Json], context: Context) -> Api:
    """
    Make the connector; no I/O.

    Raises ConfigError where two sources have the same token, since then nobody could tell
    who sent something.
    """
    tokens: dict[str, str] = {name: source["token"] for name, source in settings["sources"].items()}
    owners: dict[str, str] = {}
    for name, token in tokens.items():
        if (other := owners.setdefault(token, name)) != name:
            raise ConfigError(
                f"connections.{context.connection}.settings.sources.{name}.token: is the same as that of the"
                f' source "{other}"; give each its own: openssl rand -hex 32'
            )
    return Api(tokens=tokens, account=settings.get("account", "inbound"), context=context)


SPEC = ConnectorSpec(
    name="api",
    title="Inbound API",
    streams=(StreamSpec(name=STREAM),),
    settings=SETTINGS,
    mapping="api.yaml",
    open=open_api,
    paths=("/v1/interactions", "/v1/openapi.json"),
    docs="docs/api.md",
)


@hookimpl
def bridge_connectors() -> tuple[ConnectorSpec, ...]:
    """Return the inbound API."""
    return (SPEC,)
