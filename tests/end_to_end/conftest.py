"""Fixtures of the end-to-end tests: one Dovecot for all, its mailbox empty for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from imap_world import Pulled

from end_to_end.dovecot import Dovecot


@pytest.fixture(scope="session")
def dovecot_server() -> Iterator[Dovecot]:
    """A Dovecot with the mailbox of USER."""
    with Dovecot() as server:
        yield server


@pytest.fixture
def dovecot(dovecot_server: Dovecot) -> Dovecot:
    """The same Dovecot, its mailbox as if it had never been used."""
    dovecot_server.empty()
    return dovecot_server


@pytest.fixture
def box(dovecot: Dovecot) -> Iterator[Pulled]:
    """A connector on that mailbox."""
    box = Pulled(dovecot.settings)
    yield box
    box.close()
