"""Discovery: which connectors are installed, and importing only those that the configuration names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pluggy

from bridge import hooks
from bridge.connector import CONTRACT_VERSION, ConnectorSpec
from bridge.errors import PluginError
from bridge.journey.schema import schema_fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugins:
    """The connectors that loaded, by name, and what was left out and why."""

    specs: dict[str, ConnectorSpec]
    left_out: tuple[PluginError, ...] = ()


def installed() -> dict[str, EntryPoint]:
    """Return the installed connectors by name, without importing any."""
    return {point.name: point for point in entry_points(group=hooks.ENTRY_POINT_GROUP)}


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean "x"?` for the nearest known name, or an empty text."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f' Did you mean "{near[0]}"?' if near else ""


def load(names: Iterable[str]) -> Plugins:
    """
    Import the plugins that bring the connectors `names` and no others.

    A plugin that is missing, cannot be imported or was written for another contract is
    reported with its distribution and left out; the rest is returned.
    """
    points = installed()
    specs: dict[str, ConnectorSpec] = {}
    left_out: list[PluginError] = []
    for name in sorted(set(names)):
        point = points.get(name)
        if point is None:
            known = ", ".join(sorted(points)) or "none"
            left_out.append(
                PluginError(
                    f'connector "{name}" is not installed.{suggest(name, points)} Installed: {known}.'
                )
            )
            continue
        try:
            specs[name] = _load_one(name, point)
        except PluginError as error:
            left_out.append(error)
    return Plugins(specs=specs, left_out=tuple(left_out))


def _load_one(name: str, point: EntryPoint) -> ConnectorSpec:
    distribution = f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed distribution"
    broken = f'connector "{name}" from {distribution} was left out:'
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    try:
        manager.register(point.load(), name=name)
        manager.check_pending()
        found = [spec for specs in manager.hook.bridge_connectors() for spec in specs]
    except (Exception, SystemExit) as error:  # a plugin may raise anything; the others must run
        raise PluginError(f"{broken} {type(error).__name__}: {error}") from error
    for spec in found:
        if not isinstance(spec, ConnectorSpec) or spec.name != name:
            continue
        if spec.contract != CONTRACT_VERSION:
            raise PluginError(
                f"{broken} it was written for contract {spec.contract}, this crmbridge speaks {CONTRACT_VERSION}."
                f" Install a release of it that supports contract {CONTRACT_VERSION}."
            )
        if fault := schema_fault(spec.settings):
            raise PluginError(f"{broken} its settings are no JSON Schema: {fault}")
        return spec
    raise PluginError(f'{broken} its hook bridge_connectors returns no connector named "{name}".')


def mapping_file(spec: ConnectorSpec) -> Path:
    """Return where a connector's shipped mapping lies: in the wheel, beside a checkout, or where it says."""
    given = Path(spec.mapping)
    if given.is_absolute():
        return given
    package = Path(__file__).resolve().parent
    shipped = package / "mappings" / given
    return shipped if shipped.is_file() else package.parent / "mappings" / given
