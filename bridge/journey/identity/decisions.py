"""Which decisions of people hold, where they contradict each other."""

from __future__ import annotations

from collections import defaultdict
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
    """
    Walk from the newest decision to the oldest and keep what contradicts nothing kept before.

    Who moved an entry from one contact to another said a link and a split at once: when the two are merged,
    the link holds.
    """
    leader: dict[str, str] = {}
    sides: defaultdict[str, set[tuple[str, bool]]] = defaultdict(set)
    links: list[Decision] = []
    splits: list[Decision] = []
    overruled: list[str] = []

    def find(key: str) -> str:
        while (above := leader.get(key, key)) != key:
            leader[key] = leader.get(above, above)
            key = above
        return key

    for decision in sorted(decisions, key=lambda one: (one.at, one.kind == "link", one.id), reverse=True):
        if decision.kind == "link":
            largest, *others = sorted(
                {find(key) for key in decision.records}, key=lambda one: -len(sides[one])
            )
            added: set[tuple[str, bool]] = set()
            for side in (side for group in others for side in sides[group]):
                if (side[0], not side[1]) in sides[largest] or (side[0], not side[1]) in added:
                    overruled.append(decision.id)
                    break
                added.add(side)
            else:
                leader.update(dict.fromkeys(others, largest))
                sides[largest] |= added
                links.append(decision)
        elif {find(key) for key in decision.records} & {find(key) for key in decision.others}:
            overruled.append(decision.id)
        else:
            for here, keys in ((True, decision.records), (False, decision.others)):
                for key in keys:
                    sides[find(key)].add((decision.id, here))
            splits.append(decision)
    return Standing(links=tuple(links), splits=tuple(splits), overruled=tuple(sorted(overruled)))
