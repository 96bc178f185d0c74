"""Small mappings for tests: compiled from text, refused, and what a spec makes."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from bridge import yaml_file
from bridge.errors import ConfigError, Problem
from bridge.mapping import Mapping, compile_mapping

ROOT = Path(__file__).parent.parent
HEAD = "version: 1\nconnector: acme\n"


def compiled(text: str, **options: Any) -> Mapping:
    document = yaml_file.parse(HEAD + textwrap.dedent(text).lstrip(), file="acme.yaml")
    return compile_mapping(document, connector="acme", **options)


def refused(text: str, **options: Any) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        compiled(text, **options)
    return list(caught.value.problems)


def contact(fields: str, **options: Any) -> Mapping:
    """A mapping whose one rule makes contacts from `fields`, a YAML flow map."""
    return compiled(f"pull: {{people: {{to: contact, fields: {fields}}}}}\n", **options)


def made(spec: str, data: Any) -> Any:
    """What a spec makes of a record, in a field where anything may stand."""
    rule = contact(f"{{custom: {{object: {{x: {spec}, seen: {{const: true}}}}}}, status: always}}").pull[
        "people"
    ]
    return rule.map(data).get("custom", {}).get("x")


PUSH = """
    push:
      interaction:
        to: {by: channel, map: {whatsapp: communications, email: emails}, else: notes}
        group: {by: channel, map: {whatsapp: thread_day}, else: message}
        fields:
          communications:
            hs_communication_body: {from: text, using: text_to_html}
            hs_timestamp: {from: occurred_at, using: instant_to_epoch_ms}
          emails:
            hs_email_to: {each: to, fields: {email: email, name: name}, using: json_text}
            hs_email_direction:
              from: direction
              map: {inbound: INCOMING_EMAIL, outbound: EMAIL}
              else: EMAIL
          notes:
            hs_note_body: text
      contact:
        to: contacts
        fields:
          waiting_since: {from: waiting_since, owns: always, clear: true}
          firstname: {from: given_name, owns: if_empty}
          lead_source: {first: [source, {const: unknown}], owns: newest}
    properties:
      contacts:
        - {name: waiting_since, label: Waiting since, type: datetime}
        - {name: size, type: enumeration, options: [small, large], unique: true}
"""
