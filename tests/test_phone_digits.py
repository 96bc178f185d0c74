"""The quick way of reading digits says what libphonenumber says."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import SUPPORTED_REGIONS

from bridge.journey.phones import _COUNTRIES, _parse, _parse_digits

REGIONS = st.sampled_from([*sorted(SUPPORTED_REGIONS), "ZZ", "", "001"])
DIGITS = st.text("0123456789", max_size=17)
BEGINNINGS = st.one_of(
    st.sampled_from(["", "+", "0", "00", "011", "1"]),
    st.sampled_from([f"+{code}" for code in sorted(_COUNTRIES)]),
    st.sampled_from(sorted(_COUNTRIES)),
)


@settings(max_examples=2_000)
@given(BEGINNINGS, DIGITS, REGIONS)
def test_digits_are_read_as_libphonenumber_reads_them(beginning: str, rest: str, region: str) -> None:
    assert _parse_digits(beginning + rest, region) == _parse(beginning + rest, region)
