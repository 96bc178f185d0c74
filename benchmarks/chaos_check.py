"""What is not as it must be once the chaos is over: told twice or never, in the wrong place, lost, left to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from benchmarks.chaos_company import Company, filed
from benchmarks.chaos_crms import Entry
from benchmarks.chaos_people import carriers
from benchmarks.chaos_truth import WORD
from bridge.store.holds import DELETED, EDITED, MOVED
from bridge.store.tables import hold, journey, touched
from bridge.sync.delivery.wanted import destination_of, plan_people


def faults(company: Company) -> list[str]:
    """Return everything that is not as it must be."""
    entries = {(one.stream, one.id): one for one in company.crm.entries()}
    return [
        *_told(company, entries),
        *_places(company, entries),
        *_of_people(company, entries),
        *_books(company, entries),
        *_at_rest(company),
    ]


def _touched_by_people(company: Company) -> set[tuple[str, str]]:
    return {*company.truth.typed.values(), *company.truth.moved}


def _told(company: Company, entries: dict[tuple[str, str], Entry]) -> Iterator[str]:
    """See that each interaction stands once, in its last version unless its entry is kept; none that was deleted."""
    truth = company.truth
    told = Counter(word for entry in entries.values() for word in WORD.findall(entry.text))
    gone = {word for words in truth.deleted.values() for word in words}
    kept = {*_touched_by_people(company), *held_entries(company)}
    in_kept = {word for place in kept if place in entries for word in WORD.findall(entries[place].text)}
    for said in truth.said.values():
        count, word = told[said.word], said.word
        typed = sum(word in entries[place].text.split() for place in truth.typed.values() if place in entries)
        least = most = 1
        if word in truth.perhaps:
            least = 0
        elif word in gone:  # of two copies that stood then, the other stays
            least, most = 0, int(said.twin)
        if said.removed:
            least = 0
            most = most if word in in_kept else 0
        if said.outbound and not all(carriers(company, said)):
            least = 0
        most += typed if said.twin else 0
        if not least <= count <= most:
            yield f"{word} stands {count} times, not {least} to {most}"
        if count and not said.removed and word not in in_kept:
            versions = [
                entry
                for entry in entries.values()
                if f"{word} v{said.version}" in " ".join(entry.text.split())
            ]
            if not versions:
                yield f"{word} is not told in version {said.version}"


def held_entries(company: Company) -> dict[tuple[str, str], str]:
    """
    Return the entries that are held as if a person had edited or moved them, and nobody did: why, by where they stand.

    Only a restored backup may leave any: nobody can tell what the store wrote since from what a person did, so
    such an entry stays as it is, and `crmbridge holds` shows it.
    """
    if not company.kills["backup restored"]:
        return {}
    why = {row.key: row.reason for row in company.rows(hold) if row.reason in (EDITED, MOVED)}
    by_people = {EDITED: _touched_by_people(company), MOVED: company.truth.moved.keys()}
    return {
        place: why[row.key]
        for place, row in filed(company).items()
        if row.key in why and place not in by_people[why[row.key]]
    }


def _places(company: Company, entries: dict[tuple[str, str], Entry]) -> Iterator[str]:
    """See that each entry stands on the contacts of those who took part, or where a person put it."""
    by_word = {said.word: said for said in company.truth.said.values()}
    held = held_entries(company)
    for place, entry in entries.items():
        if not entry.marker or place in company.truth.moved or held.get(place) == MOVED:
            continue
        for word in WORD.findall(entry.text):
            if company.truth.corrected & set(by_word[word].handles):
                continue
            found = carriers(company, by_word[word])
            expected = {one[0].id for one in found if len(one) == 1}
            exact = all(len(one) == 1 for one in found)
            if (exact and entry.contacts != expected) or not expected <= entry.contacts or not entry.contacts:
                shown = ", ".join(sorted(entry.contacts)) or "none"
                yield f"{word} in {' '.join(place)} stands on contact {shown}, not {', '.join(sorted(expected))}"


def _of_people(company: Company, entries: dict[tuple[str, str], Entry]) -> Iterator[str]:
    """See that what people typed, moved, deleted and named is as they left it."""
    truth = company.truth
    for word, place in truth.typed.items():
        if place not in truth.deleted and (place not in entries or word not in entries[place].text):
            yield f"{word}, which a person typed into {' '.join(place)}, is lost"
    for place, contact in truth.moved.items():
        if place not in entries:
            yield f"{' '.join(place)}, which a person moved, is gone"
        elif entries[place].contacts != {truth.contact(contact)}:
            shown = ", ".join(sorted(entries[place].contacts))
            yield f"{' '.join(place)}, moved to contact {truth.contact(contact)}, stands on {shown}"
    for place in truth.deleted:
        if place in entries:
            yield f"{' '.join(place)}, which a person deleted, is there again"
    names = {one.id: one.name for one in company.crm.contacts()}
    for id, name in truth.names.items():
        if names.get(truth.contact(id)) != name:
            yield f"contact {id} is called {names.get(truth.contact(id))}, not {name} as a person called it"


def _books(company: Company, entries: dict[tuple[str, str], Entry]) -> Iterator[str]:
    """See that our books name just what stands there, and where."""
    gone = {row.key for row in company.rows(hold) if row.reason == DELETED}
    books = {place: row for place, row in filed(company).items() if row.key not in gone}
    ours = {place for place, entry in entries.items() if entry.marker}
    untold = set() if company.crm.tells_deletions else company.truth.deleted.keys()
    for place in sorted(books.keys() - ours - untold):
        yield f"the books have {' '.join(place)}, the CRM has not"
    for place in sorted(ours - books.keys()):
        yield f"the CRM has {' '.join(place)}, the books have not: {entries[place].text!r}"
    for place in sorted(ours & books.keys()):
        if books[place].key != entries[place].marker:
            yield f"{' '.join(place)} carries {entries[place].marker}, the books say {books[place].key}"
    markers = Counter(entry.marker for entry in entries.values() if entry.marker)
    yield from (f"marker {key} stands {count} times" for key, count in markers.items() if count > 1)


def _at_rest(company: Company) -> Iterator[str]:
    """See that nothing is pending and that a plan of everybody has nothing to write."""
    if company.pending():
        yield f"writes are pending: {company.pending()}"
    pk = company.destination.account_pk
    with company.runtime.database.read() as c:
        queued = [row for row in c.execute(touched.select()) if row.target == pk]
        everybody = [row.person_id for row in c.execute(journey.select())]
    if queued:
        yield f"people are queued: {len(queued)}"
    for action in plan_all_of(company, everybody):
        yield f"the plan would write: {action}"


def plan_all_of(company: Company, everybody: list[str]) -> list[str]:
    """Return the writes of a plan of everybody."""
    destination = destination_of(company.runtime, company.destination)
    planned = plan_people(company.runtime, company.destination, destination, everybody, dry=True)
    return [
        f"{one.kind} {one.write.op} {one.write.stream} {one.write.id} {dict(one.write.fields)} {one.title}"
        for one in planned.actions
        if one.write is not None
    ]
