"""YAML mappings: from vendor records to entities and from journeys to vendor fields, pure and total."""

from bridge.mapping.coverage import coverage
from bridge.mapping.load import compile_mapping, load_mapping
from bridge.mapping.loaded import Mapping, MappingTest, TestResult
from bridge.mapping.rules import OwnedValue, PullRule, PushContact, PushInteraction, PushTask

__all__ = [
    "Mapping",
    "MappingTest",
    "OwnedValue",
    "PullRule",
    "PushContact",
    "PushInteraction",
    "PushTask",
    "TestResult",
    "compile_mapping",
    "coverage",
    "load_mapping",
]
