"""Which decisions of people hold, where they contradict each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bridge.journey.identity.evidence import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The decisions that hold, and the ids of those that newer ones overrule."""

    links: tuple[Decision, ...] = ()
    splits: tuple[Decision, ...] = ()
    overruled: tuple[str, ...] = ()


def standing(decisions: Iterable[Decision]) -> Standing:
    """Walk from the newest decision to the oldest and keep what contradicts nothing kept before."""
    leader: dict[str, str] = {}
    links: list[Decision] = []
    splits: list[Decision] = []
    overruled: list[str] = []

    def find(key: str) -> str:
        while (above := leader.get(key, key)) != key:
            leader[key] = leader.get(above, above)
            key = above
        return key

    def apart(split: Decision, together: set[str]) -> bool:
        return any(find(key) in together for key in split.records) and any(
            find(key) in together for key in split.others
        )

    for decision in sorted(decisions, key=lambda one: (one.at, one.id), reverse=True):
        if decision.kind == "link":
            groups = {find(key) for key in decision.records}
            if any(apart(split, groups) for split in splits):
                overruled.append(decision.id)
                continue
            first, *rest = sorted(groups)
            leader.update(dict.fromkeys(rest, first))
            links.append(decision)
        elif {find(key) for key in decision.records} & {find(key) for key in decision.others}:
            overruled.append(decision.id)
        else:
            splits.append(decision)
    return Standing(links=tuple(links), splits=tuple(splits), overruled=tuple(sorted(overruled)))
