"""WhatsApp: whatever comes, and other people's samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from whatsapp_cases import (
    MAPPING,
    OURS,
    SECRET,
    SHARED,
    connector,
    entity,
    request,
    split,
)

from bridge import MappingError, Record, Skip
from bridge_whatsapp.sandbox import (
    BUSINESS,
    signed,
)
from bridge_whatsapp.words import LISTS

NAMES = st.sampled_from(
    [
        *("object", "entry", "id", "changes", "field", "value", "metadata", "contacts", "errors", "threads"),
        *LISTS,
        *("history", "text", "type", "from", "to", "timestamp", "system", "edit", "message", "reaction"),
        *("user_id", "wa_id", "body", "referral", "context", "interactive", "nfm_reply", "response_json"),
        *("image", "recipient_type"),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["text", "system", "edit", "image", "1763485380", "whatsapp_business_account", "messages"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=25,
)


def framed(value: Any) -> dict[str, Any]:
    return {"object": "whatsapp_business_account", "entry": [{"id": BUSINESS.waba, "changes": value}]}


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    VALUES
    | st.dictionaries(st.just("entry"), st.lists(VALUES, max_size=3), min_size=1)
    | st.lists(VALUES, max_size=3).map(framed)
    | st.lists(
        st.fixed_dictionaries({"field": NAMES, "value": st.dictionaries(NAMES, VALUES | st.lists(VALUES))}),
        max_size=2,
    ).map(framed)
)
def test_any_json_is_split_and_decoded_or_is_a_mapping_error(tree: Any) -> None:
    receiver = connector()
    body = json.dumps(tree).encode()
    assert receiver.verify(request(body, headers=signed(body, SECRET))).store
    try:
        found = split(body, receiver)
    except MappingError:
        return
    for record in found:
        if isinstance(record, Record):
            (seen,) = receiver.decode(record)
            MAPPING.pull[record.stream].map(seen.data)


def test_the_mapping_passes_its_own_tests() -> None:
    results = MAPPING.run_tests()
    assert len(results) >= 3
    assert [result for result in results if not result.ok] == []


@given(VALUES)
def test_any_stored_json_is_decoded(tree: Any) -> None:
    stored = Record(stream="messages", id="1", version="1", modified_at=None, data=tree)
    (seen,) = connector().decode(stored)
    assert seen.data["kind"]


@given(st.binary(max_size=200))
def test_any_bytes_are_split_or_are_a_mapping_error(body: bytes) -> None:
    with pytest.raises(MappingError):
        split(body)


SAMPLES = sorted((SHARED / "whatsapp").glob("*.json")) or sorted(OURS.glob("*.json"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_is_read_whole(path: Path) -> None:
    tree = json.loads(path.read_text())
    receiver = connector(business_account=tree["entry"][0]["id"])
    found = split(tree, receiver)
    assert len(found) == events_in(tree)
    for record in found:
        if isinstance(record, Skip):
            assert record.rule
        else:
            made = entity(record, receiver)
            assert made["kind"] != "unknown"
            assert made.get("state") != "unknown"
            assert made.get("body_text") or made.get("attachments") or made["tells"] != "whole"


def events_in(tree: Any) -> int:
    """Count the innermost objects that carry a message, status, notice or refusal."""
    count = 0
    for entry in tree["entry"]:
        for change in entry["changes"]:
            value = change["value"]
            lists = [value.get(name, []) for name in ("messages", "statuses", "message_echoes")]
            lists += [value.get("user_preferences", []), value.get("user_id_update", [])]
            for chunk in value.get("history", []):
                lists += [thread["messages"] for thread in chunk.get("threads", [])]
                lists += [chunk["errors"]] if "errors" in chunk else []
            count += sum(map(len, lists)) or 1
    return count
