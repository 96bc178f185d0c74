"""What people in the CRM of the chaos run do meanwhile, and how they tidy up in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from benchmarks.chaos_company import Company, noted
from benchmarks.chaos_crms import Contact, Entry
from benchmarks.chaos_truth import WORD, Said


class People:
    """The team in the CRM."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._chance = company.chance
        self._truth = company.truth
        self._words = 0

    def act(self) -> None:
        """
        Do one thing.

        What the CRM still has to carry out is there first: an update that it makes after our time-out
        would overwrite what a person typed in between, and nothing that it offers prevents that.
        """
        company = self._company
        company.clock.sleep(company.crm.late + 1)
        company.crm.land()
        self.look()
        doings = [
            (self._new_contact, 3),
            (self._gains, 4),
            (self._loses, 2),
            (self._renames, 2),
            (self._merges, 1),
            (self._types, 2),
            (self._deletes, 1),
            (self._moves, 1),
        ]
        (doing,) = self._chance.choices([one for one, _ in doings], [weight for _, weight in doings])
        doing()

    def look(self) -> None:
        """Remember for whom we made each contact."""
        for contact in self._company.crm.contacts():
            if contact.made:
                self._truth.born.setdefault(contact.id, handles_of(contact))

    def _entry(self) -> Entry | None:
        """Choose an entry of ours; nobody touches one twice."""
        truth = self._truth
        used = set(truth.typed.values()) | truth.moved.keys() | truth.deleted.keys()
        found = [
            one for one in self._company.crm.entries() if one.marker and (one.stream, one.id) not in used
        ]
        return self._chance.choice(found) if found else None

    def _contact(self) -> Contact | None:
        found = self._company.crm.contacts()
        return self._chance.choice(found) if found else None

    def _word(self, letter: str) -> str:
        self._words += 1
        return f"{letter}{self._words}"

    def _new_contact(self) -> None:
        person = self._chance.randrange(self._company.people)
        phone = f"+{self._company.phone(person)}" if self._chance.random() < 0.7 else ""
        email = self._company.email(person) if not phone or self._chance.random() < 0.5 else ""
        if email in {one for contact in self._company.crm.contacts() for one in contact.emails}:
            email = ""
        id = self._company.crm.add_contact(self._word("Name"), phone, email)
        self._company.tell(f"people: contact {id} with {phone} {email}")

    def _gains(self) -> None:
        contact = self._contact()
        if contact is None:
            return
        person = self._chance.randrange(self._company.people)
        if contact.made:
            known = self._company.person_of(*contact.phones, *contact.emails)
            if known is None:
                return
            person = known
        emails = {one for other in self._company.crm.contacts() for one in other.emails}
        if self._chance.random() < 0.6 or self._company.email(person) in emails:
            change = {"phone": f"+{self._company.phone(person)}"}
        else:
            change = {"email": self._company.email(person)}
        self._company.crm.edit_contact(contact.id, **change)
        self._company.tell(f"people: contact {contact.id} gains {change}")

    def _loses(self) -> None:
        contact = self._contact()
        if contact is not None:
            name = self._chance.choice(["phone", "email"])
            self._company.crm.edit_contact(contact.id, **{name: ""})
            self._company.tell(f"people: contact {contact.id} loses its {name}")

    def _renames(self) -> None:
        contact = self._contact()
        if contact is not None:
            name = self._word("Name")
            self._company.crm.edit_contact(contact.id, name=name)
            self._truth.names[contact.id] = name
            self._company.tell(f"people: contact {contact.id} is called {name}")

    def _merges(self) -> None:
        found = self._company.crm.contacts()
        if len(found) > 2:
            self._merge(*self._chance.sample(found, 2))

    def _merge(self, primary: Contact, other: Contact) -> None:
        truth = self._truth
        result = self._company.crm.merge(primary.id, other.id)
        born = truth.born.pop(primary.id, set()) | truth.born.pop(other.id, set())
        if born:
            truth.born[result] = born
        for one in {primary.id, other.id} - {result}:
            truth.merged[one] = result
        name = truth.names.pop(primary.id, None)
        truth.names.pop(other.id, None)
        if name:
            truth.names[result] = name
        self._company.tell(f"people: contact {other.id} is merged into {primary.id}: {result}")

    def _types(self) -> None:
        entry = self._entry()
        if entry is not None:
            word = self._word("typed")
            self._company.crm.append(entry, word)
            self._truth.typed[word] = (entry.stream, entry.id)
            self._company.tell(f"people: {word} is typed into {entry.stream} {entry.id}")

    def _deletes(self) -> None:
        entry = self._entry()
        if entry is not None:
            self._company.crm.delete(entry)
            words = Counter(WORD.findall(entry.text))
            self._truth.deleted[entry.stream, entry.id] = words
            self._truth.perhaps |= words.keys() - noted(self._company).get((entry.stream, entry.id), set())
            self._company.tell(f"people: {entry.stream} {entry.id} with {' '.join(words)} is deleted")

    def _moves(self) -> None:
        entry, contact = self._entry(), self._contact()
        if entry is None or contact is None or contact.id in entry.contacts:
            return
        self._company.crm.move(entry, contact.id)
        self._truth.moved[entry.stream, entry.id] = contact.id
        words = set(WORD.findall(entry.text))
        self._truth.corrected |= {
            handle for said in self._truth.said.values() if said.word in words for handle in said.handles
        }
        self._company.tell(f"people: {entry.stream} {entry.id} is moved to contact {contact.id}")

    def tidy(self) -> bool:
        """Leave each number and address on one contact, or on one beside those of our making; False if nothing was."""
        for found in self._shared():
            theirs = [one for one in found if not one.made]
            if len(theirs) > 1:
                self._take_off(theirs[1], found)
            elif len(theirs) == 1 and len(found) == 2 and not self._is_torn(found):
                if not self._are_apart(*found):
                    continue
                self._take_off(next(one for one in found if one.made), found)
            else:
                first = (theirs or found)[0]
                self._merge(first, next(one for one in found if one is not first))
            return True
        return False

    def _is_torn(self, found: list[Contact]) -> bool:
        """Tell whether one of our making shares handles with several of people's: crmbridge asks which is meant."""
        (made,) = [one for one in found if one.made]
        carried = self._carries(made)
        others = [one for one in self._company.crm.contacts() if not one.made and handles_of(one) & carried]
        return len(others) > 1

    def _are_apart(self, one: Contact, other: Contact) -> bool:
        """Tell whether both show a number, and a person moved whom one stands for off the other."""
        apart = self._company.moved_senders("split")
        moved = {(one.id, each) for each in self._carries(other)} | {
            (other.id, each) for each in self._carries(one)
        }
        return bool(moved & apart and handles_of(one) & handles_of(other))

    def _take_off(self, contact: Contact, found: list[Contact]) -> None:
        other = [one for one in found if one is not contact]
        phones = {phone for one in other for phone in one.phones}
        name = "phone" if phones & set(contact.phones) else "email"
        self._company.crm.edit_contact(contact.id, **{name: ""})
        self._company.tell(f"tidy: contact {contact.id} loses its {name}")

    def _shared(self) -> Iterator[list[Contact]]:
        by_handle: dict[str, list[Contact]] = {}
        for contact in sorted(self._company.crm.contacts(), key=lambda one: int(one.id)):
            for handle in sorted(self._carries(contact)):
                by_handle.setdefault(handle, []).append(contact)
        yield from (found for found in by_handle.values() if len(found) > 1)

    def _carries(self, contact: Contact) -> set[str]:
        """Return a contact's handles; those of our making also carry whom they stand for, as crmbridge says."""
        return handles_of(contact) | (
            stands_for(self._company).get(contact.id, set()) if contact.made else set()
        )


def handles_of(contact: Contact) -> set[str]:
    """Return a contact's numbers and addresses as senders have them."""
    return {*contact.emails, *(phone.lstrip("+") for phone in contact.phones)}


def stands_for(company: Company) -> dict[str, set[str]]:
    """
    Return, by contact, whose it is beside the handles that it shows.

    One of our making is whose it was made for, and whoever it is by the word of a person who moved an entry there.
    """
    found = {id: set(handles) for id, handles in company.truth.born.items()}
    for contact, sender in company.moved_senders("link"):
        if contact in found:
            found[contact].add(sender)
    return found


def carriers(company: Company, said: Said) -> list[list[Contact]]:
    """
    Return, for each handle of an interaction, the contacts of whoever carries it.

    Those of our making yield to people's, also to one with which they share any number or address, now or when
    they were made, but not to one off which a person moved that sender: by their word it is not theirs. Into
    whichever of people's one was merged, whom it was made for goes on there, as long as no other of people's
    carries them.
    """
    contacts = company.crm.contacts()
    apart = company.moved_senders("split")
    born = stands_for(company)
    has = {
        one.id: {each for each in handles_of(one) | born.get(one.id, set()) if (one.id, each) not in apart}
        for one in contacts
    }
    found = []
    for handle in said.handles:
        known, before = {handle}, set[str]()
        while known != before:
            before = set(known)
            known |= {each for one in contacts if one.made and has[one.id] & known for each in has[one.id]}
        here = [one for one in contacts if has[one.id] & known]
        theirs = [one for one in here if not one.made]
        carry = [one for one in theirs if handles_of(one) & has[one.id] & known]
        itself = [one for one in carry if handle in handles_of(one) & has[one.id]]
        found.append(itself or carry or theirs or here)
    return found
