"""Folding: many records, one interaction, whatever came first."""

from __future__ import annotations

import random
from copy import deepcopy
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.journey.fold import Part, fold
from bridge.journey.interaction import Interaction
from bridge.journey.schema import Validator

KEY = "wamid:HBgN"


def part(record_key: str, **fields: Any) -> Part:
    entity = {
        "kind": "message",
        "channel": "whatsapp",
        "direction": "outbound",
        "occurred_at": "2026-11-18T17:02:00Z",
        "dedupe_keys": [KEY],
    }
    return Part(record_key=record_key, entity=entity | fields)


def status(record_key: str, state: str, at: str, **fields: Any) -> Part:
    return part(record_key, tells="status", state=state, occurred_at=at, **fields)


def fold_any_order(*parts: Part) -> Interaction:
    """Fold in every order and see that it makes no difference."""
    results = [fold(order) for order in permutations(parts)]
    assert all(result == results[0] for result in results)
    assert Validator.for_entity("interaction").check(results[0]) == []
    return results[0]


MESSAGE = part("m", body_text="Mando a proposta hoje", state="sent")


def test_a_status_moves_only_forward_whatever_order_it_comes_in() -> None:
    folded = fold_any_order(
        MESSAGE,
        status("s1", "read", "2026-11-18T17:05:00Z"),
        status("s2", "delivered", "2026-11-18T17:03:00Z"),
    )
    assert (folded["state"], folded["body_text"]) == ("read", "Mando a proposta hoje")
    assert folded["occurred_at"] == "2026-11-18T17:02:00Z"
    assert folded["tells"] == "whole"


def test_a_failure_ends_a_sent_message_and_gives_way_to_its_delivery() -> None:
    failed = status("s1", "failed", "2026-11-18T17:05:00Z")
    assert fold_any_order(MESSAGE, failed)["state"] == "failed"
    assert (
        fold_any_order(MESSAGE, failed, status("s2", "delivered", "2026-11-18T17:06:00Z"))["state"]
        == "delivered"
    )


def test_a_message_known_only_by_its_status_is_the_teams_and_its_text_unknown() -> None:
    folded = fold_any_order(
        status("s1", "delivered", "2026-11-18T17:09:02Z", kind="unknown", direction="unknown"),
        status("s2", "sent", "2026-11-18T17:09:00Z", kind="unknown", direction="unknown"),
    )
    assert (folded["kind"], folded["direction"], folded["state"]) == ("message", "outbound", "delivered")
    assert folded["occurred_at"] == "2026-11-18T17:09:00Z"
    assert folded["custom"] == {"text_unknown": True}
    assert "is_automated" not in folded


def test_a_call_known_only_by_its_ringing_stays_the_customers() -> None:
    folded = fold_any_order(status("s1", "unknown", "2026-11-18T17:09:02Z", kind="call", direction="inbound"))
    assert (folded["kind"], folded["direction"], folded["tells"]) == ("call", "inbound", "status")
    assert "custom" not in folded


def test_a_status_tells_of_its_message_only_what_both_share() -> None:
    named = status(
        "s", "read", "2026-11-18T17:05:00Z", subject="a report", channel_account="106", outcome="late"
    )
    folded = fold_any_order(MESSAGE, named)
    assert folded["channel_account"] == "106"
    assert "subject" not in folded
    assert "outcome" not in folded


def test_a_template_known_only_by_its_status_is_no_persons_reply() -> None:
    folded = fold_any_order(
        status("s1", "sent", "2026-11-18T17:09:00Z"),
        status("s2", "read", "2026-11-18T17:19:00Z", is_automated=True, automated_by="template"),
    )
    assert (folded["is_automated"], folded["automated_by"]) == (True, "template")
    assert "custom" not in folded


def test_when_the_message_itself_arrives_its_text_is_known() -> None:
    folded = fold_any_order(status("s1", "read", "2026-11-18T17:09:00Z"), MESSAGE)
    assert "custom" not in folded
    assert folded["body_text"] == "Mando a proposta hoje"


def test_the_latest_edit_gives_the_text() -> None:
    folded = fold_any_order(
        part("m", direction="inbound", body_text="Dois, 60x40", body_html="<p>Dois, 60x40</p>"),
        part("e1", tells="edit", body_text="Três", occurred_at="2026-11-18T17:04:00Z"),
        part(
            "e2",
            tells="edit",
            body_text="Quatro",
            edited_at="2026-11-18T17:05:00.500Z",
            occurred_at="2026-11-18T17:06:00Z",
        ),
        part(
            "e3",
            tells="edit",
            body_text="Cinco",
            edited_at="2026-11-18T17:05:00Z",
            occurred_at="2026-11-18T17:07:00Z",
        ),
    )
    assert (folded["body_text"], folded["edited_at"]) == ("Quatro", "2026-11-18T17:05:00.500Z")
    assert "body_html" not in folded
    assert folded["occurred_at"] == "2026-11-18T17:02:00Z"


def test_a_removal_marks_the_message_from_its_first_report_and_keeps_it() -> None:
    folded = fold_any_order(
        MESSAGE,
        part("r1", tells="removal", occurred_at="2026-11-18T17:20:00Z"),
        part("r2", tells="removal", occurred_at="2026-11-18T17:21:00Z"),
    )
    assert folded["deleted_at"] == "2026-11-18T17:20:00Z"
    assert folded["body_text"] == "Mando a proposta hoje"


def reaction(record_key: str, by: str, at: str, emoji: str | None) -> Part:
    said = {"by": by, "at": at} | ({} if emoji is None else {"emoji": emoji})
    person = {"role": "from", "side": "customer", "handles": [{"kind": "phone", "value": by}]}
    return part(record_key, tells="reaction", occurred_at=at, reactions=[said], participants=[person])


def test_each_authors_latest_reaction_stays_unless_it_was_taken_back() -> None:
    folded = fold_any_order(
        MESSAGE,
        reaction("r1", "+551", "2026-11-18T17:10:00Z", "👍"),
        reaction("r2", "+551", "2026-11-18T17:11:00Z", "❤"),
        reaction("r3", "+552", "2026-11-18T17:12:00Z", "🙏"),
        reaction("r4", "+552", "2026-11-18T17:13:00Z", None),
    )
    assert folded["reactions"] == [{"by": "+551", "emoji": "❤", "at": "2026-11-18T17:11:00Z"}]
    assert "participants" not in folded


def mail(record_key: str, **fields: Any) -> Part:
    base = {
        "kind": "email",
        "channel": "email",
        "direction": "inbound",
        "dedupe_keys": ["message-id:1@padaria"],
    }
    return part(record_key, **(base | fields))


def test_the_direct_copy_of_a_mail_wins_over_the_lists_longer_one() -> None:
    folded = fold_any_order(
        mail("a", body_text="Qual o preço?\n-- \nsent over the list", is_automated=True, automated_by="list"),
        mail("b", body_text="Qual o preço?", is_automated=False),
    )
    assert folded["body_text"] == "Qual o preço?"
    assert folded["is_automated"] is False
    assert "automated_by" not in folded


def test_the_richest_of_several_direct_copies_wins_and_lacks_nothing_another_has() -> None:
    folded = fold_any_order(
        mail(
            "hubspot",
            body_text="Qual o",
            owner_ref="owners/77",
            deal_refs=["deals/2"],
            contact_refs=["contacts/1"],
        ),
        mail(
            "imap",
            body_text="Qual o preço?",
            subject="Forno",
            deal_refs=["deals/1"],
            dedupe_keys=["mail-hash:77"],
        ),
        mail("shared", visibility="metadata", subject="a subject"),
    )
    assert (folded["body_text"], folded["subject"], folded["owner_ref"]) == (
        "Qual o preço?",
        "Forno",
        "owners/77",
    )
    assert folded["deal_refs"] == ["deals/1", "deals/2"]
    assert folded["dedupe_keys"] == ["mail-hash:77", "message-id:1@padaria"]
    assert folded["visibility"] == "full"


def test_equal_copies_are_told_apart_by_their_record_keys() -> None:
    assert fold_any_order(mail("b", body_text="two"), mail("a", body_text="one"))["body_text"] == "one"


def test_a_bounce_makes_the_mail_failed_and_not_automated() -> None:
    folded = fold_any_order(
        mail("sent", direction="outbound", state="sent", body_text="Segue a proposta", is_automated=False),
        mail(
            "dsn",
            direction="unknown",
            tells="status",
            state="failed",
            is_automated=True,
            automated_by="bounce",
        ),
    )
    assert (folded["state"], folded["is_automated"], folded["direction"]) == ("failed", False, "outbound")
    assert "automated_by" not in folded


def person(role: str, *values: str, **fields: str) -> dict[str, Any]:
    handles = [{"kind": "email" if "@" in value else "whatsapp_id", "value": value} for value in values]
    return {"role": role, **({"handles": handles} if handles else {}), **fields}


def test_participants_are_united_by_role_and_handle_and_the_stable_handle_stays_first() -> None:
    folded = fold_any_order(
        mail(
            "sent",
            body_text="the longer text",
            participants=[
                person("to", "Ana@padaria.com", side="customer"),
                person("bcc", "rui@acme.com"),
                person("from", "eu@acme.com", side="team", display_name="Rui"),
            ],
        ),
        mail(
            "other",
            body_text="text",
            participants=[
                person("from", "eu@acme.com", side="unknown"),
                person("to", "ana@padaria.com", "5511", display_name="Ana"),
                person("cc", display_name="Undisclosed"),
            ],
        ),
    )
    assert [(p["role"], p.get("display_name"), p.get("side")) for p in folded["participants"]] == [
        ("from", "Rui", "team"),
        ("to", "Ana", "customer"),
        ("cc", "Undisclosed", None),
        ("bcc", None, None),
    ]
    assert [handle["value"] for handle in folded["participants"][1]["handles"]] == [
        "Ana@padaria.com",
        "ana@padaria.com",
        "5511",
    ]


def test_two_people_of_one_record_become_one_when_another_record_knows_both_ids() -> None:
    folded = fold_any_order(
        part("a", body_text="longest", participants=[person("to", "1"), person("to", "2")]),
        part("b", body_text="long", participants=[person("to", "2", "3"), person("cc", "3")]),
        part("c", body_text="", participants=[person("to", "3", "1", display_name="Ana")]),
    )
    assert [(p["role"], [handle["value"] for handle in p["handles"]]) for p in folded["participants"]] == [
        ("to", ["1", "2", "3"]),
        ("cc", ["3"]),
    ]
    assert folded["participants"][0]["display_name"] == "Ana"


def test_a_status_adds_the_ids_it_knows_to_whom_the_message_went() -> None:
    folded = fold_any_order(
        part("m", body_text="Oi", participants=[person("to", "5511973914862", side="customer")]),
        status("s", "read", "2026-11-18T17:05:00Z", participants=[person("to", "BR.1", "5511973914862")]),
    )
    (to,) = folded["participants"]
    assert [handle["value"] for handle in to["handles"]] == ["5511973914862", "BR.1"]


def test_a_file_is_one_file_in_every_copy_and_its_bytes_win() -> None:
    folded = fold_any_order(
        mail(
            "imap",
            body_text="Segue anexo",
            attachments=[
                {"filename": "a.pdf", "size": 10, "sha256": "aa", "state": "available", "ref": "imap/1"},
                {"filename": "logo.png", "sha256": "bb"},
                {"filename": "logo.png", "sha256": "cc"},
            ],
        ),
        mail(
            "hubspot",
            body_text="Segue",
            attachments=[
                {"id": "77", "filename": "a.pdf", "state": "pending", "ref": "files/77"},
                {"filename": "b.pdf", "size": 3},
                {"filename": "logo.png", "sha256": "cc"},
            ],
        ),
    )
    assert [file.get("filename") for file in folded["attachments"]] == [
        "a.pdf",
        "logo.png",
        "logo.png",
        "b.pdf",
    ]
    first = folded["attachments"][0]
    assert (first["id"], first["ref"], first["state"]) == ("77", "imap/1", "available")


def test_files_of_which_a_copy_tells_only_the_id_are_those_that_are_left() -> None:
    folded = fold_any_order(
        mail(
            "imap",
            body_text="Segue anexo",
            attachments=[{"filename": "a.pdf", "id": "1"}, {"filename": "b.pdf"}],
        ),
        mail("hubspot", attachments=[{"id": "77", "state": "unknown"}, {"id": "1"}, {"id": "78"}]),
    )
    assert [(file.get("filename"), file.get("id")) for file in folded["attachments"]] == [
        ("a.pdf", "1"),
        ("b.pdf", "77"),
        (None, "78"),
    ]


def test_two_files_of_one_name_in_one_mail_are_two() -> None:
    pair = [{"filename": "logo.png"}, {"filename": "logo.png"}]
    folded = fold_any_order(mail("a", body_text="Oi", attachments=pair), mail("b", attachments=pair))
    assert len(folded["attachments"]) == 2


def test_media_that_comes_later_replaces_its_placeholder() -> None:
    folded = fold_any_order(
        part("m", body_text="Olha o forno", attachments=[{"id": "9", "state": "pending"}]),
        part("n", attachments=[{"id": "9", "state": "available", "ref": "media/9", "is_voice": True}]),
    )
    assert folded["attachments"] == [{"id": "9", "state": "available", "ref": "media/9", "is_voice": True}]


def test_what_a_reaction_alone_tells_is_not_a_message() -> None:
    folded = fold_any_order(reaction("r", "+551", "2026-11-18T17:10:00Z", "👍"))
    assert folded["tells"] == "reaction"
    assert "custom" not in folded


def test_an_interaction_without_records_or_with_two_versions_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        fold([])
    with pytest.raises(ValueError, match="record m: two different versions"):
        fold([MESSAGE, part("m")])


_AT = st.sampled_from([f"2026-11-18T17:0{minute}:00{ms}Z" for minute in range(4) for ms in ("", ".500")])
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from(["message", "email", "unknown"]),
    "direction": st.sampled_from(["inbound", "outbound", "unknown"]),
    "tells": st.sampled_from(["whole", "whole", "status", "edit", "removal", "reaction"]),
    "state": st.sampled_from(["sent", "delivered", "read", "failed", "received", "unknown"]),
    "body_text": st.sampled_from(["", "a", "b", "longer"]),
    "body_html": st.sampled_from(["<p>a", "<p>b"]),
    "subject": st.sampled_from(["x", "y"]),
    "owner_ref": st.sampled_from(["owners/1", "owners/2"]),
    "visibility": st.sampled_from(["full", "subject", "metadata"]),
    "automated_by": st.sampled_from(["list", "template", "bot", "bounce"]),
    "is_automated": st.booleans(),
    "edited_at": _AT,
    "deleted_at": _AT,
    "dedupe_keys": st.lists(st.sampled_from(["k:1", "k:2", "k:3"]), max_size=2),
    "deal_refs": st.lists(st.sampled_from(["deals/1", "deals/2"]), max_size=2),
    "custom": st.dictionaries(st.sampled_from("ab"), st.integers(0, 2), max_size=2),
    "reactions": st.lists(
        st.fixed_dictionaries(
            {"by": st.sampled_from("ab")}, optional={"emoji": st.sampled_from("👍❤"), "at": _AT}
        ),
        max_size=2,
    ),
    "participants": st.lists(
        st.builds(
            person,
            st.sampled_from(["from", "to", "cc"]),
            st.sampled_from(["a@x.com", "b@x.com", "1", "2"]),
            st.sampled_from(["a@x.com", "B@x.com", "3"]),
            side=st.sampled_from(["customer", "team", "unknown"]),
        ),
        max_size=3,
    ),
    "attachments": st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "filename": st.sampled_from(["a", "b"]),
                "sha256": st.sampled_from(["aa", "bb"]),
                "size": st.integers(1, 2),
                "state": st.sampled_from(["pending", "available", "failed"]),
            },
        ),
        max_size=3,
    ),
}
_entities = st.fixed_dictionaries(
    {
        "kind": _FIELDS["kind"],
        "channel": st.just("email"),
        "direction": _FIELDS["direction"],
        "occurred_at": _AT,
    },
    optional={name: field for name, field in _FIELDS.items() if name not in ("kind", "direction")},
)
_parts = st.lists(_entities, min_size=1, max_size=6).map(
    lambda entities: [Part(record_key=f"r{number}", entity=entity) for number, entity in enumerate(entities)]
)


@given(parts=_parts, seed=st.randoms(use_true_random=False))
def test_neither_order_nor_batches_nor_repeats_change_the_interaction(
    parts: list[Part], seed: random.Random
) -> None:
    expected = fold(parts)
    arriving = parts + parts[: len(parts) // 2]
    seed.shuffle(arriving)
    kept: dict[str, Part] = {}
    while arriving:
        size = seed.randint(1, len(arriving))
        batch, arriving = arriving[:size], arriving[size:]
        kept |= {one.record_key: one for one in batch}
        fold(list(kept.values()))
    assert fold(list(kept.values())) == expected


@given(parts=_parts)
def test_what_is_folded_is_a_valid_interaction_and_nothing_is_lost_on_the_way(parts: list[Part]) -> None:
    before = [deepcopy(one.entity) for one in parts]
    folded = fold(parts)
    assert Validator.for_entity("interaction").check(folded) == []
    assert [one.entity for one in parts] == before
    for field in ("dedupe_keys", "deal_refs"):
        assert set(folded.get(field, ())) == {value for entity in before for value in entity.get(field, ())}
    for field in ("subject", "owner_ref"):
        whole = [entity for entity in before if entity.get("tells", "whole") == "whole"]
        assert (field in folded) or not any(field in entity for entity in whole)


@given(entity=_entities)
def test_a_record_alone_says_what_it_says_with_its_copy(entity: dict[str, Any]) -> None:
    united = {"attachments", "reactions", "custom", "tells"}
    entity = {"body_text": "Oi", **{name: value for name, value in entity.items() if name not in united}}
    alone, copy = Part(record_key="r0", entity=entity), Part(record_key="r1", entity=deepcopy(entity))
    assert fold([alone]) == fold([alone, copy])
