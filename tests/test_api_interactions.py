"""The inbound API: what a stored body holds and what each interaction tells."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from api_cases import MAPPING, MESSAGE, NOW, connector, entity, request, split, view
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bridge import MappingError, Record, Skip
from bridge.testing.context import CaptureRules
from bridge_api.sandbox import call
from bridge_api.words import CHANNELS, DIRECTIONS, KINDS, STATES


def test_a_message_carries_who_wrote_when_and_where() -> None:
    seen = view({**MESSAGE, "thread": "t-9", "in_reply_to": "m-0"})
    assert seen.pop("interaction")["id"] == "m-1"
    assert seen == {
        "kind": "message",
        "channel": "webchat",
        "channel_account": "website",
        "direction": "inbound",
        "occurred_at": "2026-11-18T17:02:00Z",
        "text": "Vocês entregam em Santos?",
        "thread_id": "website:t-9",
        "in_reply_to": "m-0",
        "visibility": "full",
        "participants": [
            {
                "role": "from",
                "side": "customer",
                "display_name": "Ana Souza",
                "handles": [
                    {"kind": "email", "value": "ana@padarialima.example"},
                    {"kind": "phone", "value": "+5511973914862"},
                ],
            }
        ],
    }


def test_an_own_id_is_the_most_stable_handle_within_its_source() -> None:
    seen = view({**MESSAGE, "from": {"id": "c-77", "email": "a@b.example"}})
    assert seen["participants"][0]["handles"][0] == {"kind": "external", "value": "c-77", "scope": "website"}


@pytest.mark.parametrize(
    ("kind", "direction", "roles"),
    [
        ("message", "inbound", [("from", "customer"), ("to", "team"), ("to", "team")]),
        ("message", "outbound", [("from", "team"), ("to", "customer"), ("from", "team")]),
        ("call", "inbound", [("caller", "customer"), ("callee", "team"), ("callee", "team")]),
        ("call", "outbound", [("caller", "team"), ("callee", "customer"), ("caller", "team")]),
        ("meeting", "outbound", [("organizer", "team"), ("attendee", "customer"), ("organizer", "team")]),
        ("note", "internal", [("author", "team"), ("mentioned", "customer"), ("author", "team")]),
    ],
)
def test_the_direction_says_which_side_is_the_customer(
    kind: str, direction: str, roles: list[tuple[str, str]]
) -> None:
    person = {"email": "x@y.example"}
    told = {
        **MESSAGE,
        "kind": kind,
        "direction": direction,
        "from": person,
        "to": person,
        "agent": {"name": "Rui"},
    }
    seen = view(told)["participants"]
    assert [(one["role"], one["side"]) for one in seen] == roles
    assert seen[2]["display_name"] == "Rui"


def test_a_call_keeps_its_length_even_if_it_is_zero() -> None:
    seen = view(call("+5511973914862", at=NOW, id="call-1", seconds=0))
    assert (seen["duration_s"], seen["state"]) == (0, "missed")


def test_fractions_of_a_second_are_milliseconds() -> None:
    assert (
        view({**MESSAGE, "occurred_at": "2026-11-18T17:02:00.1239Z"})["occurred_at"]
        == "2026-11-18T17:02:00.123Z"
    )


def test_an_email_is_told_from_its_copy_by_its_message_id() -> None:
    for written in ("118.42@mail.example", "<118.42@mail.example>"):
        seen = view({**MESSAGE, "kind": "email", "message_id": written})
        assert seen["dedupe_keys"] == ["message-id:118.42@mail.example"]


def test_files_are_links_and_a_machine_is_named() -> None:
    file = {"url": "https://files.example/1", "name": "p.pdf", "size": 9}
    seen = view({**MESSAGE, "attachments": [file], "automated": True, "attribution": {"source": "google"}})
    assert seen["attachments"] == [
        {"size": 9, "id": file["url"], "ref": file["url"], "filename": "p.pdf", "state": "skipped"}
    ]
    assert (seen["is_automated"], seen["automated_by"]) == (True, "app")
    assert seen["attribution"] == {"source": "google", "at": "2026-11-18T17:02:00Z"}


def test_a_batch_gives_one_record_each_named_by_its_source() -> None:
    body = {"interactions": [{**MESSAGE, "id": f"m-{number}"} for number in range(1000)]}
    found = split(body)
    assert [record.id for record in found] == [f"website/m-{number}" for number in range(1000)]
    assert split(body, sender="telephone")[0].id == "telephone/m-0"


def test_the_same_id_with_other_content_is_another_version_of_one_record() -> None:
    (first,), (again,), (changed,) = split(MESSAGE), split(MESSAGE), split({**MESSAGE, "text": "corrected"})
    assert (first.id, first.version) == (again.id, again.version)
    assert first.id == changed.id
    assert first.version != changed.version


def test_without_ids_a_request_names_its_interactions_by_its_key() -> None:
    told = {key: value for key, value in MESSAGE.items() if key != "id"}
    body = {"interactions": [told, told]}
    assert [record.id for record in split(body, key="k")] == ["website/k.0", "website/k.1"]
    assert split(body, key="other")[0].id == "website/other.0"


@pytest.mark.parametrize("pattern", ["ana@padarialima.example", "+55 11 97391-4862"])
def test_a_person_who_is_never_collected_is_skipped(pattern: str) -> None:
    (found,) = split(MESSAGE, CaptureRules(never=[pattern]))
    assert found == Skip(
        stream="interactions", id="website/m-1", version="2026-11-18T17:02:00+00:00", rule="never"
    )


def test_a_form_makes_its_sender_a_lead_and_a_message_does_not() -> None:
    rules = CaptureRules(only_with=["*@contacts.example"])
    (form,) = split({**MESSAGE, "kind": "form_submission"}, rules)
    (message,) = split(MESSAGE, rules)
    assert isinstance(form, Record)
    assert isinstance(message, Skip)


@pytest.mark.parametrize(("detail", "subject"), [("subject", "S-UBJECT"), ("metadata", None)])
def test_at_a_lower_detail_no_word_is_kept(detail: Any, subject: str | None) -> None:
    told = {
        **MESSAGE,
        "subject": "S-UBJECT",
        "text": "SECRET",
        "html": "SECRET",
        "outcome": "SECRET",
        "custom": {"x": "SECRET"},
        "attachments": [{"url": "https://SECRET"}],
    }
    (record,) = split(told, CaptureRules(detail=detail))
    assert "SECRET" not in repr(record)
    seen = view(told, CaptureRules(detail=detail))
    assert (seen.get("subject"), seen["visibility"]) == (subject, detail)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"\xff"])
def test_a_body_that_holds_no_interaction_is_a_mapping_error(body: bytes) -> None:
    with pytest.raises(MappingError):
        split(body)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*MESSAGE, "to", "agent", "interactions", "attachments", "attribution", "message_id"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_any_json_is_split_and_decoded_or_is_a_mapping_error(tree: Any) -> None:
    try:
        found = split(json.dumps(tree).encode())
    except MappingError:
        return
    for record in found:
        if isinstance(record, Record):
            list(connector().decode(record))


TEXTS = st.text(min_size=1, max_size=20)
PHONES = st.sampled_from(["+55 (11) 97391-4862", "+1 650.555.1234"])
PEOPLE = st.fixed_dictionaries({"id": TEXTS}, optional={"name": TEXTS, "email": st.emails(), "phone": PHONES})
# hypothesis takes naive bounds and adds the zone itself
FIRST, LAST = datetime(1900, 1, 2), datetime(2099, 12, 30)  # noqa: DTZ001
TIMES = st.datetimes(min_value=FIRST, max_value=LAST, timezones=st.timezones()).map(lambda at: at.isoformat())
INTERACTIONS = st.fixed_dictionaries(
    {
        "id": TEXTS,
        "kind": st.sampled_from(KINDS),
        "direction": st.sampled_from(DIRECTIONS),
        "occurred_at": TIMES,
        "from": PEOPLE,
        "to": PEOPLE,
    },
    optional={
        "channel": st.sampled_from(CHANNELS),
        "state": st.sampled_from(STATES),
        "agent": st.fixed_dictionaries({"name": TEXTS}),
        "text": TEXTS,
        "subject": TEXTS,
        "duration_s": st.floats(min_value=0, allow_infinity=False),
        "thread": TEXTS,
        "message_id": TEXTS,
        "attribution": st.dictionaries(st.sampled_from(["source", "medium", "ad_id"]), TEXTS),
        "attachments": st.lists(st.fixed_dictionaries({"url": st.just("https://x.example")}), max_size=2),
        "custom": st.dictionaries(TEXTS, st.none() | TEXTS | st.lists(TEXTS), max_size=2),
        "automated": st.booleans(),
    },
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(INTERACTIONS)
def test_whatever_is_accepted_becomes_a_valid_interaction(told: Any) -> None:
    assume(connector().verify(request(told)).status == 202)
    (record,) = split(told)
    assert isinstance(record, Record)
    assert entity(record)["kind"] == told["kind"]


def test_the_mapping_passes_its_own_tests() -> None:
    results = MAPPING.run_tests()
    assert results
    assert [result for result in results if not result.ok] == []


@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_any_stored_json_is_decoded(tree: Any) -> None:
    stored = Record(stream="interactions", id="1", version="1", modified_at=None, data=tree)
    (seen,) = connector().decode(stored)
    assert seen.id == "1"
