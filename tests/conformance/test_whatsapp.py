"""WhatsApp passes the conformance suite on its stand-in of Meta."""

from __future__ import annotations

from bridge.testing.conformance import suite
from bridge_whatsapp.sandbox import WhatsAppKit

TestWhatsApp = suite(WhatsAppKit)
