"""The quick ways of reading digits and of telling kinds of lines say what libphonenumber says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    SUPPORTED_REGIONS,
    PhoneNumberFormat,
    PhoneNumberType,
    example_number_for_type,
    format_number,
    number_type,
)

from bridge.journey.phone_plans import kind_of
from bridge.journey.phones import _COUNTRIES, _number, _parse, _parse_digits, _understood

REGIONS = st.sampled_from([*sorted(SUPPORTED_REGIONS), "ZZ", "", "001"])
DIGITS = st.text("0123456789", max_size=17)
BEGINNINGS = st.one_of(
    st.sampled_from(["", "+", "0", "00", "011", "1"]),
    st.sampled_from([f"+{code}" for code in sorted(_COUNTRIES)]),
    st.sampled_from(sorted(_COUNTRIES)),
)


@settings(max_examples=500)
@given(BEGINNINGS, DIGITS, REGIONS)
def test_digits_are_read_as_libphonenumber_reads_them(beginning: str, rest: str, region: str) -> None:
    assert _parse_digits(beginning + rest, region) == _parse(beginning + rest, region)


@settings(max_examples=500)
@given(st.sampled_from(sorted(COUNTRY_CODE_TO_REGION_CODE)), DIGITS)
def test_a_number_is_of_the_kind_that_libphonenumber_says(country: int, national: str) -> None:
    found = _understood(f"+{country}{national}", "")
    if found is not None:
        country, national, _ = _number(found)
        assert kind_of(country, national) == number_type(found)
        assert f"+{country}{national}" == format_number(found, PhoneNumberFormat.E164)


@pytest.mark.parametrize("kind", PhoneNumberType.values())
def test_every_regions_example_of_a_kind_is_of_that_kind(kind: int) -> None:
    examples = [example_number_for_type(region, kind) for region in sorted(SUPPORTED_REGIONS)]
    for found in filter(None, examples):
        country, national, _ = _number(found)
        assert kind_of(country, national) == number_type(found)
