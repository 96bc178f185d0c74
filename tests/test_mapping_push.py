"""Mapping to a CRM: the stream of an entry, whose word counts in a field, and what setup creates."""

from __future__ import annotations

import pytest

from bridge.errors import MappingError
from bridge.mapping import OwnedValue
from bridge.mapping.views import ENTRY_VIEW, PERSON_VIEW
from bridge.model import Field
from tests.mapping_cases import PUSH, compiled


def test_an_entry_is_written_to_the_stream_of_its_channel() -> None:
    push = compiled(PUSH).push_interaction
    assert push is not None
    view = {"channel": "whatsapp", "text": "a <b>\nc", "occurred_at": "2026-11-18T14:02:00Z"}
    assert (push.stream_for(view), push.group_for(view)) == ("communications", "thread_day")
    assert push.fields("communications", view) == {
        "hs_communication_body": "a &lt;b&gt;<br>c",
        "hs_timestamp": 1795010520000,
    }
    assert push.line("communications", "hs_timestamp") == 10
    mail = {"channel": "email", "direction": "outbound", "to": [{"email": "a@b.c"}, {"name": "Ana"}]}
    assert (push.stream_for(mail), push.group_for(mail)) == ("emails", "message")
    assert push.fields("emails", mail) == {
        "hs_email_to": '[{"email":"a@b.c"},{"name":"Ana"}]',
        "hs_email_direction": "EMAIL",
    }
    assert push.stream_for({"channel": "pigeon"}) == push.stream_for({}) == "notes"
    assert push.streams == ("communications", "emails", "notes")
    with pytest.raises(MappingError, match="hs_timestamp"):
        push.fields("communications", {"occurred_at": "soon"})


def test_a_contact_field_says_whose_word_counts_and_is_cleared_only_when_asked() -> None:
    push = compiled(PUSH).push_contact
    assert push is not None
    assert push.stream == "contacts"
    assert push.fields({"given_name": "Ana", "waiting_since": "2026-11-18T14:02:00Z"}) == {
        "waiting_since": OwnedValue(
            value="2026-11-18T14:02:00Z", owns="always", line=22, reads=frozenset({"waiting_since"})
        ),
        "firstname": OwnedValue(value="Ana", owns="if_empty", line=23, reads=frozenset({"given_name"})),
        "lead_source": OwnedValue(value="unknown", owns="newest", line=24, reads=frozenset({"source"})),
    }
    assert {name: owned.value for name, owned in push.fields({}).items()} == {
        "waiting_since": "",
        "lead_source": "unknown",
    }


def test_a_refused_contact_value_names_its_line() -> None:
    text = "push: {contact: {to: c, fields: {at: {from: waiting_since, using: date, owns: always}}}}"
    push = compiled(text).push_contact
    assert push is not None
    with pytest.raises(MappingError, match=r"acme.yaml:3 push.contact.fields.at: "):
        push.fields({"waiting_since": "now"})


def test_properties_are_the_fields_that_setup_creates() -> None:
    assert compiled(PUSH).properties == {
        "contacts": (
            Field(name="waiting_since", label="Waiting since", type="datetime"),
            Field(name="size", label="size", type="enumeration", unique=True, options=("small", "large")),
        )
    }


def test_the_views_have_the_fields_that_delivery_offers() -> None:
    assert list(ENTRY_VIEW) == [
        *("key", "channel", "kind", "direction", "occurred_at", "subject", "text", "body_text", "from", "to"),
        *("cc", "duration_ms", "outcome", "state", "message_id", "owner_id", "count"),
    ]
    assert list(PERSON_VIEW) == [
        *("person_id", "display_name", "given_name", "family_name", "email", "phone", "waiting_since"),
        *(
            "waiting_channel",
            "waiting_text",
            "last_inbound_at",
            "last_outbound_at",
            "first_seen_at",
            "source",
        ),
        "channels",
    ]
