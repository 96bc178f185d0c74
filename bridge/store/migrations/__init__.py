"""The versions of the tables: a new store is made at the newest, alembic brings an older one there."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    inspect,
    text,
)

from bridge.store.tables import metadata

HEAD = "0008"
"""The newest version; a test compares it with the folder. Stated here, as importing alembic costs every command."""

FOLDER = Path(__file__).parent


def current(connection: Connection) -> str | None:
    """Return the version of a store's tables, None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def known(version: str | None) -> bool:
    """Tell whether this program can bring a version up to date."""
    return version is None or any(
        path.name.startswith(f"{version}_") for path in (FOLDER / "versions").glob("*.py")
    )


def create(connection: Connection) -> None:
    """Make the tables of an empty database; without alembic, whose import costs a new store 13 MB."""
    metadata.create_all(connection)
    _version.create(connection, checkfirst=True)
    connection.execute(_version.insert().values(version_num=HEAD))


_version = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Where alembic keeps the version, in its own words."""


def upgrade(connection: Connection, *, to: str = "head") -> None:
    """Bring older tables to a version, the newest unless told otherwise."""
    import alembic.command
    import alembic.config

    config = alembic.config.Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, to)
