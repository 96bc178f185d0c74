"""What turns out to be the team's own: addresses of the CRM's users, learned after mail of theirs was read."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection as Transaction

from bridge.journey.handles import Own
from bridge.store import entities, looks, people
from bridge.store.writer import Priority
from bridge.sync.identity.identify import identify, tied
from bridge.sync.runtime import JOURNEY, Runtime


def forget_own(runtime: Runtime, before: Own) -> None:
    """
    Take what is ours by now, and was not before, out of identity, as if it had been known all along.

    A sender that is one of us is nobody's customer; a contact keeps its other handles.
    """
    keys = {f"email:{address}" for address in runtime.own.emails - before.emails}
    for number in runtime.own.phones - before.phones:
        keys |= {f"phone:{number}", f"whatsapp_id:{number.lstrip('+')}"}
    if not keys:
        return
    with runtime.identity_lock:
        with runtime.database.read() as c:
            nodes = people.load_nodes(c, people.carriers(c, keys))
            gone = frozenset(key for key in nodes if key in keys)
            incoming = {
                key: replace(
                    tied(node, ()),
                    handles=tuple(
                        handle
                        for name, (handle, made) in node.handles.items()
                        if name not in keys and not made
                    ),
                )
                for key, node in nodes.items()
                if node.contact_of is not None
            }
            change = identify(c, incoming, runtime.rules, gone=gone)

        def work(c: Transaction) -> None:
            for key in gone:
                people.remove_node(c, key)
            entities.forget_nodes(c, gone)
            change.save(c, runtime.clock())
            looks.touch(c, JOURNEY, change.touched, runtime.sequence())

        runtime.writer.run(work, priority=Priority.RESOLVE)
