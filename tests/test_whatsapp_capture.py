"""WhatsApp: what the capture rules keep out leaves no trace."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from whatsapp_cases import (
    ANA,
    NOW,
    batch_of,
    connector,
    split,
)

from bridge import Record, Skip
from bridge.testing.context import CaptureRules
from bridge_whatsapp.sandbox import (
    Sender,
    ad,
    batch,
    echo,
    edit,
    history,
    message,
    reaction,
    status,
    text_message,
    user_id_changed,
)


@pytest.mark.parametrize("pattern", ["+5511973914862", "5511973914862", "BR.1349120865530274"])
def test_a_person_who_is_never_collected_is_skipped_by_any_of_their_ids(pattern: str) -> None:
    receiver = connector(CaptureRules(never=[pattern]))
    rui = Sender(name="Rui", wa_id="351912345678")
    changes = [
        text_message(ANA, "segredo", at=NOW),
        echo(ANA, "segredo", at=NOW),
        status(ANA, "wamid.O", "read", at=NOW),
        user_id_changed(ANA, "BR.1", at=NOW),
        text_message(rui, "Oi", at=NOW),
    ]
    found = split(batch(changes), receiver)
    assert sorted(one.rule for one in found if isinstance(one, Skip)) == ["never"] * 4
    assert len(found) == 5
    assert "segredo" not in repr(found)


def test_what_is_older_than_the_rules_allow_is_skipped() -> None:
    chunk = history(ANA, [(NOW - timedelta(days=90), False, "antigo"), (NOW, False, "novo")])
    old, new = split(batch([chunk]), connector(CaptureRules(since=NOW - timedelta(days=30))))
    assert isinstance(old, Skip)
    assert old.rule == "since"
    assert isinstance(new, Record)


def test_an_ad_makes_its_sender_a_lead_for_the_rules() -> None:
    rules = CaptureRules(only_with=["*@contacts.example"])
    referral = ad("Forno", id="1", url="https://fb.me/x")
    changes = [text_message(ANA, "Oi", at=NOW), text_message(ANA, "Vi o anúncio", at=NOW, referral=referral)]
    first, second = split(batch(changes), connector(rules))
    assert isinstance(first, Skip)
    assert isinstance(second, Record)


@pytest.mark.parametrize("detail", ["subject", "metadata"])
def test_at_a_lower_detail_no_word_of_a_message_is_kept(detail: Any) -> None:
    rules = CaptureRules(detail=detail)
    changes = [
        text_message(ANA, "SECRET", at=NOW),
        message(ANA, "image", {"id": "SECRET", "caption": "SECRET"}, at=NOW),
        message(ANA, "contacts", [{"name": {"formatted_name": "SECRET"}}], at=NOW),
        reaction(ANA, "wamid.M", "SECRET", at=NOW),
        edit(ANA, "wamid.M", "SECRET", at=NOW),
        echo(ANA, "SECRET", at=NOW),
        history(ANA, [(NOW, True, "SECRET")]),
        {"value": {"metadata": {"phone_number_id": "1"}, "x": ["SECRET"]}, "field": "new_field"},
    ]
    receiver = connector(rules)
    records = split(batch_of(*changes), receiver)
    seen = [one.data for record in records if isinstance(record, Record) for one in receiver.decode(record)]
    assert len(seen) == len(changes)
    assert "SECRET" not in repr(records)
    assert all(one["visibility"] == detail for one in seen)
    assert all(one["participants"] for one in seen[:-1])
    assert seen[3]["tells"] == "reaction"


def test_a_version_does_not_betray_a_text_that_was_not_kept() -> None:
    rules = CaptureRules(detail="metadata")
    versions = {
        split(batch([text_message(ANA, words, at=NOW, id="wamid.X")]), connector(rules))[0].version
        for words in ("sim", "não")
    }
    assert len(versions) == 1
