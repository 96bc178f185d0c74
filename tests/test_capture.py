"""Capture rules: what they keep out, in whatever spelling, and how the skip is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from bridge.capture import CaptureRules, RuledCapture

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def rule_of(
    rules: CaptureRules, *addresses: str, at: datetime | None = NOON, region: str = "BR", lead: bool = False
) -> str | None:
    """Return the rule that keeps a message out, None where it is taken."""
    capture = RuledCapture(rules=rules, region=region)
    return capture.decide(at=at, addresses=addresses, from_lead=lead).rule


@pytest.mark.parametrize(
    ("pattern", "address"),
    [
        ("*@lawyer.example", "bob@lawyer.example"),
        ("*@lawyer.example", "Bob.Hill@LAWYER.example"),
        ("*@Lawyer.Example", "Bob Hill <bob@lawyer.example>"),
        ("@lawyer.example", "bob@lawyer.example"),
        ("lawyer.example", "bob@lawyer.example"),
        ("lawyer.example", "bob@mail.lawyer.example"),
        ("*.lawyer.example", "bob@mail.lawyer.example"),
        ("bob@*", "bob@anywhere.example"),
        ("b?b@lawyer.example", "bob@lawyer.example"),
        ("ana.souza@gmail.com", "AnaSouza+shop@googlemail.com"),
        ("*@müller.example", "ana@xn--mller-kva.example"),
        ("*@xn--mller-kva.example", "ana@xn--mller-kva.example"),
        ("+55 11 97391-4862", "5511973914862"),
        ("+55 11 97391-4862", "551173914862"),
        ("(11) 97391-4862", "+5511973914862"),
        ("11 97391 4862", "5511973914862"),
        ("005511973914862", "5511973914862"),
        ("5511973914862", "+55 (11) 97391-4862"),
        ("+5511*", "5511973914862"),
        ("*4862", "+55 11 97391-4862"),
        ("BR.7731290065512348", "br.7731290065512348"),
        ("*", "anybody"),
    ],
)
def test_never_keeps_somebody_out_in_whatever_spelling(pattern: str, address: str) -> None:
    assert rule_of(CaptureRules(never=(pattern,)), address) == "private"
    assert rule_of(CaptureRules(only=(pattern,)), address) is None


@pytest.mark.parametrize(
    ("pattern", "address"),
    [
        ("lawyer.example", "bob@notlawyer.example"),
        ("*@lawyer.example", "bob@mail.lawyer.example"),
        ("*@lawyer.example", "bob@lawyer.example.org"),
        ("bob@lawyer.example", "jacob@lawyer.example"),
        ("bob@lawyer.example", "bob@lawyerXexample"),
        ("a[bc]d@x.example", "abd@x.example"),
        ("+55 11 97391-4862", "+55 11 97391-4863"),
        ("+1 555*", "5511973914862"),
        ("97391-4862", "5511973914862"),
        ("BR.77", "BR.773"),
    ],
)
def test_a_pattern_takes_nobody_else(pattern: str, address: str) -> None:
    assert rule_of(CaptureRules(never=(pattern,)), address) is None
    assert rule_of(CaptureRules(only=(pattern,)), address) == "not in only"


def test_a_national_number_is_of_the_connections_country() -> None:
    rules = CaptureRules(never=("0151 27418365",))
    assert rule_of(rules, "4915127418365", region="DE") == "private"
    assert rule_of(rules, "4915127418365", region="ZZ") is None


def test_one_private_address_among_several_keeps_a_message_out() -> None:
    rules = CaptureRules(never=("*@lawyer.example",))
    assert rule_of(rules, "ana@padaria.example", "bob@lawyer.example") == "private"
    assert rule_of(rules, "ana@padaria.example", "rui@example.com") is None


def test_one_wanted_address_among_several_takes_a_message() -> None:
    rules = CaptureRules(only=("*@padaria.example", "+55 11 97391-4862"))
    assert rule_of(rules, "ana@padaria.example", "bob@lawyer.example") is None
    assert rule_of(rules, "bob@lawyer.example") == "not in only"
    assert rule_of(rules) == "not in only"


def test_private_beats_wanted() -> None:
    rules = CaptureRules(only=("*@padaria.example",), never=("ana@padaria.example",))
    assert rule_of(rules, "ana@padaria.example") == "private"


def test_since_is_an_instant_and_what_has_no_time_is_taken() -> None:
    rules = CaptureRules(since=NOON)
    assert rule_of(rules, at=NOON - timedelta(microseconds=1)) == "older than since"
    assert rule_of(rules, at=NOON) is None
    lisbon_in_summer = timezone(timedelta(hours=1))
    assert rule_of(rules, at=datetime(2026, 11, 20, 12, 59, tzinfo=lisbon_in_summer)) == "older than since"
    assert rule_of(rules, at=None) is None
    assert RuledCapture(rules=rules).since == NOON


@pytest.mark.parametrize("detail", ["full", "subject", "metadata"])
def test_what_is_taken_is_taken_at_the_configured_detail(detail: str) -> None:
    decision = RuledCapture(rules=CaptureRules(detail=detail)).decide(at=NOON, addresses=["ana@x.example"])  # type: ignore[arg-type]
    assert (decision.detail, decision.skip) == (detail, False)


def test_blank_addresses_are_nobody() -> None:
    assert rule_of(CaptureRules(never=("*",)), "", "  ") is None


def test_rules_that_keep_nothing_out_do_not_restrict() -> None:
    assert not CaptureRules().restricts
    assert not CaptureRules(newsletters="keep").restricts
    assert CaptureRules(detail="subject").restricts
    assert CaptureRules(never=("*@lawyer.example",)).restricts
    assert CaptureRules(only_with="contacts").restricts
