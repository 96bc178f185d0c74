"""Pairs of people who may be one though nothing proves it: by name and company, a mailbox, or variants of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, groupby
from operator import itemgetter

import orjson
from sqlalchemy import Connection as Transaction
from sqlalchemy import func, select

from bridge.journey.companies import domain
from bridge.journey.names import agree, split
from bridge.journey.similar import suggest
from bridge.journey.similar_fields import PERSON, read
from bridge.journey.similar_score import Pair
from bridge.store.among import among
from bridge.store.people import StoredNode, load_nodes
from bridge.store.tables import entity, node, node_handle

MOST_VARIANTS = 10
"""Variants of an address beyond which it is a mailbox that sorts its mail by them, and tells nothing of people."""

MOST_ON_A_MAILBOX = 5
"""People on a role's mailbox beyond which it tells nothing of any two of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakPair:
    """Two records of different people, what suggests that they are one, and that in words."""

    one: StoredNode
    other: StoredNode
    evidence: tuple[str, ...]
    says: tuple[str, ...]


def weak_pairs(c: Transaction) -> Iterator[WeakPair]:
    """
    Yield pairs of people by records that suggest it.

    First those of variants of an address, then those of one role's mailbox whose names do not disagree, then by
    name, the likeliest first.
    """
    yield from _plus_variants(c)
    yield from _mailboxes(c)
    yield from _namesakes(c)


def _plus_variants(c: Transaction) -> Iterator[WeakPair]:
    """Yield who has `ana+shop@acme.com` and who has `ana@acme.com`, where plus means nothing known."""
    emails = select(node_handle.c.value, node_handle.c.node_key).where(node_handle.c.kind == "email")
    tagged = c.execute(emails.where(node_handle.c.value.like("%+%@%"))).all()
    plain = {_without_tag(value) for value, _ in tagged}
    carriers: dict[str, dict[str, list[str]]] = {}
    known = c.execute(emails.where(among(node_handle.c.value, plain))).all()
    for value, key in sorted({*map(tuple, tagged), *map(tuple, known)}):
        carriers.setdefault(_without_tag(value), {}).setdefault(value, []).append(key)
    nodes = load_nodes(c, {key for found in carriers.values() for keys in found.values() for key in keys})
    seen: set[tuple[str, str]] = set()
    for found in carriers.values():
        if len(found) > MOST_VARIANTS:
            continue
        for (value, keys), (other_value, other_keys) in combinations(sorted(found.items()), 2):
            one, other = nodes[min(keys)], nodes[min(other_keys)]
            people = min(one.person_id, other.person_id), max(one.person_id, other.person_id)
            if people[0] == people[1] or people in seen:
                continue
            seen.add(people)
            yield WeakPair(
                one=one,
                other=other,
                evidence=(f"plus:{value}:{other_value}",),
                says=(f"{value} and {other_value} may be one mailbox, of one person or of two",),
            )


def _mailboxes(c: Transaction) -> Iterator[WeakPair]:
    """Yield who has a mailbox such as `info@acme.com` and who else has it or writes from it."""
    mails = select(node_handle.c.value).where(node_handle.c.kind == "email", node_handle.c.strength == "weak")
    several = mails.group_by(node_handle.c.value).having(func.count() > 1)
    on = select(node_handle.c.value, node_handle.c.node_key).where(
        node_handle.c.kind == "email", node_handle.c.value.in_(several)
    )
    for value, rows in groupby(c.execute(on.order_by(*on.selected_columns)).all(), key=itemgetter(0)):
        people: dict[str, StoredNode] = {}
        for stored in load_nodes(c, [row[1] for row in rows]).values():
            if stored.person_id not in people or stored.key < people[stored.person_id].key:
                people[stored.person_id] = stored
        if len(people) > MOST_ON_A_MAILBOX:
            continue
        for one, other in combinations(sorted(people.values(), key=lambda stored: stored.key), 2):
            if agree(one.name or "", other.name or "") != "no":
                says = f"{value}, a mailbox of a role, is on both, and their names do not disagree"
                yield WeakPair(one=one, other=other, evidence=(f"mailbox:{value}",), says=(says,))


def _without_tag(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def _namesakes(c: Transaction) -> Iterator[WeakPair]:
    """Yield who is called and employed so alike that they may be one."""
    companies = _companies(c)
    domains = _domains(c)
    query = select(node.c.person_id, node.c.key, node.c.name).where(node.c.name.is_not(None))
    query = query.order_by(node.c.person_id, node.c.legal.desc(), node.c.contact_of.is_(None), node.c.key)
    records = []
    for person_id, rows in groupby(c.execute(query), key=itemgetter(0)):
        named = list(rows)
        _, key, name = named[0]
        given, family = split(name)
        company = next((companies[row[1]] for row in named if row[1] in companies), None)
        raw = {
            "given_name": given,
            "family_name": family,
            "company": company,
            "domain": domains.get(person_id),
        }
        if given:
            records.append(read(key, raw, PERSON))
    pairs = suggest(records, PERSON).pairs
    nodes = load_nodes(c, {key for pair in pairs for key in (pair.a, pair.b)})
    for pair in pairs:
        yield WeakPair(
            one=nodes[pair.a],
            other=nodes[pair.b],
            evidence=tuple(
                f"{one.field}:{one.level}:{one.a}:{one.b}" for one in pair.evidence if one.level != "unknown"
            ),
            says=_lines(pair),
        )


def _lines(pair: Pair) -> tuple[str, ...]:
    likely = f"{pair.probability:.0%} likely, as their names and companies go"
    return likely, *(str(one) for one in pair.evidence if one.level != "unknown")


def _companies(c: Transaction) -> Mapping[str, str]:
    """Return the name of the first company of each contact that has one, by record key."""
    query = select(entity.c.account_pk, entity.c.stream, entity.c.ext_id, entity.c.body)
    current = entity.c.deleted.is_(False)
    called = {
        (row.account_pk, f"{row.stream}/{row.ext_id}"): orjson.loads(row.body).get("name")
        for row in c.execute(query.where(entity.c.type == "company", current))
    }
    if not called:
        return {}
    keys = {
        (account_pk, contact_id): key
        for key, account_pk, contact_id in c.execute(
            select(node.c.key, node.c.contact_of, node.c.contact_id).where(node.c.contact_of.is_not(None))
        )
    }
    found: dict[str, str] = {}
    for row in c.execute(query.where(entity.c.type == "contact", current)):
        key = keys.get((row.account_pk, row.ext_id))
        names = (called.get((row.account_pk, ref)) for ref in orjson.loads(row.body).get("company_refs", ()))
        name = next(filter(None, names), None)
        if key is not None and name is not None:
            found[key] = name
    return found


def _domains(c: Transaction) -> Mapping[str, str]:
    """Return the first domain of each person's addresses that is a company's."""
    query = select(node.c.person_id, node_handle.c.value).join(node, node.c.key == node_handle.c.node_key)
    found: dict[str, str] = {}
    for person_id, address in c.execute(
        query.where(node_handle.c.kind == "email").order_by(node_handle.c.value)
    ):
        if person_id not in found and domain(address):
            found[person_id] = address
    return found
