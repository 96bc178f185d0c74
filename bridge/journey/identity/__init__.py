"""Who is who: records, decisions and rules in; persons, reasons and what is undecided out. Pure."""

from bridge.journey.identity.evidence import (
    LINKING,
    Applied,
    Decision,
    Node,
    Partition,
    Reason,
    Rules,
    Tier,
    Withheld,
    connections,
)
from bridge.journey.identity.explain import Grade, grade, why, why_not
from bridge.journey.identity.resolution import partition

__all__ = [
    "LINKING",
    "Applied",
    "Decision",
    "Grade",
    "Node",
    "Partition",
    "Reason",
    "Rules",
    "Tier",
    "Withheld",
    "connections",
    "grade",
    "partition",
    "why",
    "why_not",
]
