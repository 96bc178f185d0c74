"""The inbound API passes the conformance suite."""

from __future__ import annotations

from bridge.testing.conformance import suite
from bridge_api.sandbox import ApiKit

TestApi = suite(ApiKit)
