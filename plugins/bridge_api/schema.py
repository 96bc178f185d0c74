"""The body that `POST /v1/interactions` takes, as JSON Schema, and the OpenAPI description around it."""

from __future__ import annotations

from typing import Final

from bridge import Json, __version__
from bridge_api.words import CHANNELS, DIRECTIONS, KINDS, STATES

MAX_BYTES: Final = 1_048_576
MAX_BATCH: Final = 1_000

_DAYS = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
_LEAP_YEARS = "(?:19|20)(?:0[48]|[2468][048]|[13579][26])|2000"
_INSTANT = (
    f"^(?:(?:19|20)[0-9]{{2}}-(?:{_DAYS}|02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:{_LEAP_YEARS})-02-29)"
    "T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])$"
)
_ONE_LINE: Json = {"not": {"pattern": "[\\r\\n]"}}


def _text(description: str, *, most: int = 500, **more: Json) -> Json:
    return {"type": "string", "description": description, "minLength": 1, "maxLength": most, **more}


def _instant(description: str) -> Json:
    return _text(
        description,
        most=40,
        format="date-time",
        pattern=_INSTANT,
        examples=["2026-11-18T14:02:00-03:00"],
        **_ONE_LINE,
    )


def _word(description: str, words: tuple[str, ...]) -> Json:
    return {"type": "string", "description": description, "enum": list(words)}


def _object(description: str, properties: dict[str, Json], **more: Json) -> Json:
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "properties": properties,
        **more,
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


_PERSON = _object(
    "Somebody, by at least one address.",
    {
        "name": _text("Name as people say it.", examples=["Ana Souza"]),
        "email": _text(
            "E-mail address.",
            most=320,
            pattern="^[^@\\s<>,;]+@[^@\\s<>,;]+\\.[^@\\s<>,;]+$",
            examples=["ana@padarialima.example"],
            **_ONE_LINE,
        ),
        "phone": _text(
            "Phone number with + and country code.",
            most=40,
            pattern="^\\+[1-9](?:[ ().-]*[0-9]){6,14}$",
            examples=["+55 11 97391-4862"],
            **_ONE_LINE,
        ),
        "id": _text(
            "Your own id of this person; the same id is the same person.", most=200, examples=["c-77"]
        ),
    },
    anyOf=[{"required": ["email"]}, {"required": ["phone"]}, {"required": ["id"]}],
)

_ATTRIBUTION = _object(
    "Where somebody came from; names as in UTM parameters.",
    {
        "source": _text("Site or application.", examples=["google"]),
        "medium": _text("Kind of traffic.", examples=["cpc"]),
        "campaign": _text("Campaign."),
        "term": _text("Keyword."),
        "content": _text("Variant."),
        "referrer": _text("Address of the page before.", most=4_000),
        "landing_url": _text("Address of the first page.", most=4_000),
        "click_ids": {
            "type": "object",
            "description": "Click ids by name: gclid, fbclid, ctwa_clid.",
            "additionalProperties": {"type": "string"},
            "maxProperties": 20,
        },
        "ad_id": _text("Id of the ad."),
        "form_id": _text("Id of the form."),
        "headline": _text("Headline of the ad."),
    },
)

_ATTACHMENT = _object(
    "A file, by its address; it is linked and not fetched.",
    {
        "url": _text(
            "Where the file is.", most=4_000, pattern="^https?://", examples=["https://files.example/1"]
        ),
        "name": _text("File name.", examples=["proposta-118.pdf"]),
        "content_type": _text("Media type.", examples=["application/pdf"]),
        "size": {"type": "integer", "minimum": 0, "description": "Bytes."},
        "duration_s": {"type": "number", "minimum": 0, "description": "Length of a recording in seconds."},
        "is_voice": {"type": "boolean", "description": "Whether it is a voice message."},
    },
    required=["url"],
)

_INTERACTION = _object(
    "Something that happened between a customer and the team.",
    {
        "id": _text(
            "Your own id of it, unique within your source. Sent again with the same body it changes nothing.",
            most=200,
            examples=["call-2026-118"],
        ),
        "kind": _word("What happened.", KINDS),
        "channel": {**_word("Where it happened.", CHANNELS), "default": "api"},
        "direction": _word(
            "inbound: the customer in `from`, to the team. outbound: the team, to the customer in `to`."
            " internal: the team's own note about the customer in `to`.",
            DIRECTIONS,
        ),
        "occurred_at": _instant("When it happened, with its offset from UTC."),
        "ended_at": _instant("When it ended, with its offset from UTC."),
        "duration_s": {"type": "number", "minimum": 0, "description": "How long it took, in seconds."},
        "subject": _text("Subject line.", most=2_000),
        "text": _text("What was said, plain, without quotes of earlier messages.", most=200_000),
        "html": _text("The same as HTML.", most=500_000),
        "language": _text("BCP 47 tag.", most=35, examples=["pt-BR"]),
        "from": _ref("Person"),
        "to": _ref("Person"),
        "agent": {
            **_object(
                "Who of the team took part.",
                {"name": _PERSON["properties"]["name"], "email": _PERSON["properties"]["email"]},
            ),
            "minProperties": 1,
        },
        "thread": _text("What belongs to one conversation has the same value.", most=200),
        "in_reply_to": _text("The id of what it answers.", most=1_000),
        "message_id": _text(
            "For an e-mail its Message-ID, so that the copy in a mailbox counts as the same.",
            most=1_000,
            pattern="^[^\\s]+$",
            examples=["118.42@mail.example"],
            **_ONE_LINE,
        ),
        "state": _word("How far it got.", STATES),
        "outcome": _text("Result of a call or meeting, in your words.", most=2_000),
        "automated": {"type": "boolean", "description": "Whether a machine sent it."},
        "attribution": _ref("Attribution"),
        "attachments": {
            "type": "array",
            "description": "Files.",
            "maxItems": 50,
            "items": _ref("Attachment"),
        },
        "custom": {
            "type": "object",
            "description": "Anything else, for a mapping to use.",
            "maxProperties": 100,
        },
    },
    required=["kind", "direction", "occurred_at"],
    allOf=[
        {
            "if": {"properties": {"direction": {"const": "inbound"}}, "required": ["direction"]},
            "then": {"required": ["from"]},
        },
        {
            "if": {"properties": {"direction": {"const": "outbound"}}, "required": ["direction"]},
            "then": {"required": ["to"]},
        },
    ],
)

_BATCH = _object(
    "Several interactions; all are stored, or none.",
    {
        "interactions": {
            "type": "array",
            "description": "The interactions.",
            "minItems": 1,
            "maxItems": MAX_BATCH,
            "items": _ref("Interaction"),
        }
    },
    required=["interactions"],
)

_ACCEPTED: Json = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"const": "stored"},
        "id": {"type": "string", "description": "Of a single interaction."},
        "ids": {
            "type": "array",
            "description": "Of a batch, in its order; null where one has no id.",
            "items": {"type": ["string", "null"]},
        },
    },
}

_PROBLEM: Json = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "problems": {
            "type": "array",
            "description": "Every fault of the body.",
            "items": {
                "type": "object",
                "required": ["path", "message", "remedy"],
                "properties": {
                    "path": {"type": "string", "description": "JSON pointer (RFC 6901)."},
                    "message": {"type": "string"},
                    "remedy": {"type": "string"},
                },
            },
        },
    },
}

COMPONENTS: Final[Json] = {
    "schemas": {
        "Interaction": _INTERACTION,
        "Batch": _BATCH,
        "Person": _PERSON,
        "Attribution": _ATTRIBUTION,
        "Attachment": _ATTACHMENT,
        "Accepted": _ACCEPTED,
        "Problem": _PROBLEM,
    },
    "securitySchemes": {
        "token": {"type": "http", "scheme": "bearer", "description": "The token of your source."}
    },
}


def body_schema(name: str) -> Json:
    """Return the JSON Schema (2020-12) of `Interaction` or `Batch`, complete in itself."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_ref(name),
        "components": {"schemas": COMPONENTS["schemas"]},
    }


def openapi() -> Json:
    """Return the OpenAPI 3.1 description of the API; its address is that of the server that serves it."""
    refused = {
        "400": "The body is no JSON.",
        "401": "The token is missing or unknown.",
        "409": "The Idempotency-Key was used with another body.",
        "413": f"The body is larger than {MAX_BYTES} bytes.",
        "415": "The body is not declared as application/json.",
        "422": "The body does not fit the schema; `problems` lists every fault. Nothing was stored.",
    }
    problem = {"application/problem+json": {"schema": _ref("Problem")}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "crmbridge inbound API",
            "version": __version__,
            "description": "Tell crmbridge what happened with a customer: a call, a message, a form.",
        },
        "servers": [{"url": "/"}],
        "paths": {
            "/v1/interactions": {
                "post": {
                    "operationId": "storeInteractions",
                    "summary": "Store one interaction, or up to 1,000 in one body.",
                    "security": [{"token": []}],
                    "parameters": [
                        {
                            "name": "Idempotency-Key",
                            "in": "header",
                            "required": False,
                            "description": "Names this request: sent again with the same body it stores"
                            " nothing new. Needed where an interaction has no id; to correct a stored"
                            " interaction send its id with a new key.",
                            "schema": {"type": "string", "minLength": 1, "maxLength": 200},
                        }
                    ],
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {"schema": {"anyOf": [_ref("Interaction"), _ref("Batch")]}}
                        },
                    },
                    "responses": {
                        "202": {
                            "description": "Stored; it appears in the journey in a moment.",
                            "content": {"application/json": {"schema": _ref("Accepted")}},
                        },
                        **{
                            status: {"description": words, "content": problem}
                            for status, words in refused.items()
                        },
                    },
                }
            },
            "/v1/openapi.json": {
                "get": {
                    "operationId": "describe",
                    "summary": "This description.",
                    "security": [],
                    "responses": {
                        "200": {
                            "description": "OpenAPI 3.1.",
                            "content": {"application/json": {"schema": {"type": "object"}}},
                        }
                    },
                }
            },
        },
        "components": COMPONENTS,
    }
