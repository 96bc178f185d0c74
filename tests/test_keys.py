"""Keys: markers that survive a CRM's HTML, ids that say nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.journey.keys import find_markers, marker, person_id

_PART = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)


@given(account=_PART, entity=_PART, slot=_PART)
def test_a_marker_is_found_again_in_whatever_a_crm_makes_of_the_text(
    account: str, entity: str, slot: str
) -> None:
    key = marker(account, entity, slot)
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{12}", key)
    for text in (
        f"14:02 Ana: Oi!\ncrmbridge {key}",
        f"<p>Oi!<br>crmbridge&nbsp;{key}</p>",
        f"<div>crmbridge\u00a0{key}</div>",
        f"Oi! crmbridge  {key} ",
    ):
        assert find_markers(text) == {key}


def test_a_marker_depends_on_each_of_its_three_parts_and_on_nothing_else() -> None:
    keys = {
        marker("hubspot:1", "e_1", "email"),
        marker("hubspot:2", "e_1", "email"),
        marker("hubspot:1", "e_2", "email"),
        marker("hubspot:1", "e_1", "note"),
        marker("hubspot:1e", "_1", "email"),
    }
    assert len(keys) == 5
    assert marker("hubspot:1", "e_1", "email") == "BRNVWZ8SZC7T"  # what stands in CRMs already


def test_several_markers_in_one_text_are_all_found() -> None:
    assert find_markers("crmbridge 7F3A2C9KQ0XT\ncrmbridge 7F3A2C9KQ0XV") == {"7F3A2C9KQ0XT", "7F3A2C9KQ0XV"}


@pytest.mark.parametrize(
    "text",
    [
        "crmbridge enhancements",
        "crmbridge ENHANCEMENTSX",
        "mycrmbridge 7F3A2C9KQ0XT",
        "crmbridge 7F3A2C9KQ0X",
        "7F3A2C9KQ0XT",
        "",
    ],
)
def test_what_only_looks_like_a_marker_is_none(text: str) -> None:
    assert find_markers(text) == set()


def test_a_persons_id_follows_their_founder() -> None:
    assert person_id("hubspot:1:contact:77") == person_id("hubspot:1:contact:77")
    assert person_id("hubspot:1:contact:77") != person_id("hubspot:1:contact:78")
