"""The pluggy hooks; a plugin implements them with `bridge.hookimpl`."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from bridge.connector import ConnectorSpec

PROJECT = "bridge"
ENTRY_POINT_GROUP = "bridge.plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def bridge_connectors() -> Iterable[ConnectorSpec]:  # type: ignore[empty-body]
    """Return the connectors this plugin brings."""
