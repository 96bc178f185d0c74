"""Handles: one spelling per address and number, and what each proves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.journey.handles import Handle, Own, normalise, spellings

NOBODY = Own()


def email(raw: str, own: Own = NOBODY) -> tuple[str, str] | None:
    handles = normalise("email", raw, region="BR", own=own)
    assert len(handles) <= 1
    return (handles[0].value, handles[0].strength) if handles else None


def phones(raw: str, region: str = "BR", own: Own = NOBODY) -> list[tuple[str, str]]:
    return [(handle.value, handle.strength) for handle in normalise("phone", raw, region=region, own=own)]


@pytest.mark.parametrize(
    "spelling",
    [
        "ana.souza@gmail.com",
        "AnaSouza@GMail.com",
        "anasouza+crm@googlemail.com",
        " anasouza@gmail.com. ",
        "anasouza＠gmail.com",
        "ana\u200bsouza@gmail.com",
        "anasouza@ｇmail.com",
        "Ana Souza <ana.souza@gmail.com>",
        '"Souza, Ana" <ana.souza@gmail.com>',
        "mailto:ana.souza@gmail.com?subject=Oi",
        "prvs=4823fa7c01=ana.souza@gmail.com",
        "ana.souza@gmail.com;",
    ],
)
def test_every_spelling_of_a_gmail_address_is_one_mailbox(spelling: str) -> None:
    assert email(spelling) == ("anasouza@gmail.com", "strong")


def test_dots_and_tags_are_kept_where_no_provider_promises_that_they_mean_nothing() -> None:
    assert email("ana.souza@acme.com") == ("ana.souza@acme.com", "strong")
    assert email("ana+a@acme.com") != email("ana+b@acme.com")


@pytest.mark.parametrize(
    "domain", ["outlook.com.br", "hotmail.com", "icloud.com", "proton.me", "fastmail.com"]
)
def test_providers_with_tags_lose_the_tag_and_keep_the_dots(domain: str) -> None:
    assert email(f"Ana.Souza+loja@{domain}") == (f"ana.souza@{domain}", "strong")


def test_a_domain_in_its_own_script_is_the_domain_in_ascii() -> None:
    assert email("ana@bücher.example") == email("ana@xn--bcher-kva.example")
    assert email("ana@BÜCHER.example.") == ("ana@xn--bcher-kva.example", "strong")


def test_a_cyrillic_look_alike_is_another_domain() -> None:
    assert email("ana@аcme.com") not in (None, email("ana@acme.com"))


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "null",
        "anonymous",
        "-1",
        "ana",
        "ana@localhost",
        "ana@[192.0.2.1]",
        "ana souza@acme.com",
        ".ana@acme.com",
        "ana.@acme.com",
        "a..na@acme.com",
        "ana@acme.com, rui@acme.com",
        "ana@rui@acme.com",
        "+tag@gmail.com",
        "x" * 250 + "@acme.com",
        "ana@acme.com\x00",
    ],
)
def test_what_is_not_exactly_one_address_is_no_handle(raw: str) -> None:
    assert email(raw) is None


@pytest.mark.parametrize(
    "local", ["info", "contato", "vendas", "ventas", "sac", "nfe", "suporte", "info+site"]
)
def test_a_role_mailbox_is_only_a_hint(local: str) -> None:
    assert email(f"{local}@padaria.com.br") == (f"{local}@padaria.com.br", "weak")


@pytest.mark.parametrize(
    "local",
    [
        "noreply",
        "no-reply",
        "nao-responda",
        "do-not-reply",
        "MAILER-DAEMON",
        "bounce",
        "bounces+382",
        "notifications",
        "newsletter",
        "wordpress",
        "noreply-forms",
        "reply+AbC123",
        "srs0=hx=tt=acme.com=ana",
        "list+ana=acme.com",
        "teste",
    ],
)
def test_machines_and_placeholders_prove_nothing(local: str) -> None:
    found = email(f"{local}@host.example")
    assert found is not None
    assert found[1] == "none"


@pytest.mark.parametrize(
    "local", ["noreplyson", "norma", "donald", "returner", "alerton", "noah.bounce", "testa"]
)
def test_people_with_names_like_machines_are_people(local: str) -> None:
    assert email(f"{local}@host.example") == (f"{local}@host.example", "strong")


def test_our_own_addresses_and_domains_prove_nothing() -> None:
    own = Own.read(domains=["@Acme.com", "bücher.example"], emails=["Rui.Sales@gmail.com"], region="BR")
    assert email("ana@acme.com", own) == ("ana@acme.com", "none")
    assert email("ana@mail.acme.com", own) == ("ana@mail.acme.com", "none")
    assert email("ana@notacme.com", own) == ("ana@notacme.com", "strong")
    assert email("ana@xn--bcher-kva.example", own) == ("ana@xn--bcher-kva.example", "none")
    assert email("ruisales+x@gmail.com", own) == ("ruisales@gmail.com", "none")


@pytest.mark.parametrize(
    ("raw", "region", "expected"),
    [
        ("(11) 97391-4862", "BR", ("+5511973914862", "strong")),
        ("+55 11 97391-4862", "PT", ("+5511973914862", "strong")),
        ("5511973914862", "BR", ("+5511973914862", "strong")),
        ("55 11 7391-4862", "BR", ("+5511973914862", "strong")),
        ("11 8391-4862", "BR", ("+5511983914862", "strong")),
        ("+55 11 6391-4862", "BR", ("+5511963914862", "strong")),
        ("+551138761492", "BR", ("+551138761492", "guarded")),
        ("11 93876-1492", "BR", ("+5511938761492", "strong")),
        ("+52 1 55 3987 4412", "MX", ("+525539874412", "strong")),
        ("55 3987 4412", "MX", ("+525539874412", "strong")),
        ("+54 9 11 6090-7788", "AR", ("+5491160907788", "strong")),
        ("011 15-6090-7788", "AR", ("+5491160907788", "strong")),
        ("+54 11 6090-7788", "AR", ("+541160907788", "guarded")),
        ("00351 913 123 456", "BR", ("+351913123456", "strong")),
        ("0055 51 97391-4862", "BR", ("+5551973914862", "strong")),
        ("0055 11 97391-4862", "US", ("+5511973914862", "strong")),
        ("+44 (0)7911 123456", "BR", ("+447911123456", "strong")),
        ("tel:+55-11-97391-4862", "BR", ("+5511973914862", "strong")),
        ("Ana 11 97391-4862", "BR", ("+5511973914862", "strong")),
        ("＋５５ １１ ９７３９１ ４８６２", "BR", ("+5511973914862", "strong")),
        ("+1 212 555 0143 ext 12", "US", ("+12125550143;ext=12", "guarded")),
        ("+5511999999999", "BR", ("+5511999999999", "none")),
        ("11 98765-4321", "BR", ("+5511987654321", "none")),
        ("0800 727 1163", "BR", ("+558007271163", "none")),
        ("4004 1234", "BR", ("+5540041234", "none")),
    ],
)
def test_a_number_is_read_on_the_present_numbering_plan(
    raw: str, region: str, expected: tuple[str, str]
) -> None:
    assert phones(raw, region) == [expected]


@pytest.mark.parametrize("raw", ["", "+", "none", "87654321", "97391-4862", "0000", "1234567", "55 11 1"])
def test_what_is_only_possible_as_a_number_is_no_handle(raw: str) -> None:
    assert phones(raw) == []


def test_several_numbers_in_one_cell_are_several_handles() -> None:
    expected = [("+5511973914862", "strong"), ("+551138761492", "guarded")]
    assert phones("(11) 97391-4862 / (11) 3876-1492") == expected
    assert phones("11973914862;1138761492") == expected
    assert phones("11 7391-4862 ou 11 97391-4862") == expected[:1]


def test_two_extensions_of_one_switchboard_are_two_lines() -> None:
    assert phones("+1 212 555 0143;ext=12") != phones("+1 212 555 0143 x13", "US")


def test_our_own_numbers_prove_nothing_with_whatever_extension() -> None:
    own = Own.read(phones=["11 4000-1000", "(11) 97391-4862"], region="BR")
    assert phones("+55 11 4000-1000 ext. 12", own=own) == [("+551140001000;ext=12", "none")]
    assert phones("11 7391-4862", own=own) == [("+5511973914862", "none")]


def test_a_whatsapp_id_is_itself_and_its_number() -> None:
    handles = normalise("whatsapp_id", "551173914862", region="US", own=NOBODY)
    assert [(h.key, h.strength) for h in handles] == [
        ("whatsapp_id:5511973914862", "strong"),
        ("phone:+5511973914862", "strong"),
    ]


@pytest.mark.parametrize(
    ("wa_id", "number"),
    [
        ("541160907788", "+5491160907788"),
        ("5491160907788", "+5491160907788"),
        ("5215539874412", "+525539874412"),
        ("+351913123456", "+351913123456"),
        ("551138761492", "+551138761492"),
    ],
)
def test_a_whatsapp_sender_is_known_to_be_a_mobile_abroad(wa_id: str, number: str) -> None:
    first, second = normalise("whatsapp_id", wa_id, region="BR", own=NOBODY)
    assert (first.value, second.value) == (number[1:], number)


def test_a_whatsapp_id_that_is_no_number_stays_an_id() -> None:
    assert normalise("whatsapp_id", "99988877766", region="BR", own=NOBODY) == (
        Handle("whatsapp_id", "99988877766", "", "strong"),
    )


def test_a_number_that_writes_to_us_is_no_placeholder_however_it_ends() -> None:
    for digits in ("5511999999999", "5511991234567"):
        sender, number = normalise("whatsapp_id", digits, region="BR", own=NOBODY)
        assert (sender.strength, number.strength) == ("strong", "strong")
        (typed,) = normalise("phone", digits, region="BR", own=NOBODY)
        assert typed == number._replace(strength="none")


def test_platform_ids_are_certain_within_their_scope() -> None:
    one = normalise("whatsapp_bsuid", "BR.13491208655302741918", region="BR", own=NOBODY, scope="p1")
    two = normalise("whatsapp_bsuid", "BR.13491208655302741918", region="BR", own=NOBODY, scope="p2")
    assert [handle.strength for handle in one + two] == ["certain", "certain"]
    assert one[0].key == "whatsapp_bsuid:p1:BR.13491208655302741918"
    assert one[0].key != two[0].key


def test_a_user_name_and_a_browser_are_only_hints() -> None:
    (name,) = normalise("whatsapp_username", "@Ana.Souza", region="BR", own=NOBODY)
    (browser,) = normalise("web_visitor", "c0ffee", region="BR", own=NOBODY, scope="site")
    assert (name.value, name.strength, browser.strength) == ("ana.souza", "weak", "weak")


@pytest.mark.parametrize("raw", ["", " ", "null", "None", "-1", "0", "test", "anonymous"])
@pytest.mark.parametrize("kind", ["external", "form_id", "whatsapp_id", "telegram_id", "email", "phone"])
def test_a_placeholder_is_no_handle_of_any_kind(kind: str, raw: str) -> None:
    assert normalise(kind, raw, region="BR", own=NOBODY) == ()


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'fax' is unknown"):
        normalise("fax", "1", region="BR", own=NOBODY)


_MARKS = st.sampled_from([*"+-. ()/;=<>@_\u200b＠ßİΣé\u0301ºﬁｇ", "ext", "gmail.com", "prvs=1="])
_WRITTEN = st.one_of(
    st.text(max_size=30),
    st.lists(st.one_of(_MARKS, st.text("abcXYZ0159", min_size=1, max_size=6)), max_size=8).map("".join),
    st.emails(),
    st.builds(
        "{}{}".format, st.sampled_from(["+55", "+54", "+52", "00351", "0", ""]), st.integers(0, 10**11)
    ),
)


@given(raw=_WRITTEN, kind=st.sampled_from(["email", "phone", "whatsapp_id", "whatsapp_username", "external"]))
def test_normalising_again_changes_nothing(raw: str, kind: str) -> None:
    handles = normalise(kind, raw, region="BR", own=NOBODY, scope="s")
    for handle in handles:
        again = normalise(handle.kind, handle.value, region="US", own=NOBODY, scope=handle.scope)
        assert again[0] == handle


@given(number=st.integers(10**9, 10**11), region=st.sampled_from(["BR", "MX", "PT", "US", "AR"]))
def test_every_spelling_that_is_searched_for_is_the_same_number(number: int, region: str) -> None:
    for handle in normalise("phone", str(number), region=region, own=NOBODY):
        home = {"+55": "BR", "+52": "MX", "+54": "AR"}.get(handle.value[:3], region)
        for spelling in spellings(handle.value):
            found = normalise("phone", spelling, region=home, own=NOBODY)
            assert not found or handle in found or spelling.startswith("0")


def test_a_number_is_searched_for_in_every_spelling_a_person_may_have_typed() -> None:
    found = spellings("+5511973914862")
    assert found[0] == "+5511973914862"
    assert {
        "5511973914862",
        "551173914862",
        "+551173914862",
        "11973914862",
        "1173914862",
        "(11) 97391-4862",
        "+55 11 97391-4862",
        "011973914862",
        "005511973914862",
    } <= set(found)
    assert len(found) == len(set(found)) < 25


def test_a_search_never_asks_for_a_line_that_may_be_a_strangers() -> None:
    assert "+551138761492" in spellings("+551138761492")
    assert not any("93876" in spelling for spelling in spellings("+551138761492"))
    assert "+541160907788" not in spellings("+5491160907788")
    assert "+5215539874412" in spellings("+525539874412")
    assert all("12" in spelling[-4:] for spelling in spellings("+12125550143;ext=12"))


def test_a_broken_number_is_searched_for_as_it_stands() -> None:
    assert spellings("12") == ("12",)
