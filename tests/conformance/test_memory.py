"""The folder of text files against the suite that every connector passes."""

from bridge.testing.conformance import suite
from bridge_memory.sandbox import MemoryKit

TestMemory = suite(MemoryKit)
