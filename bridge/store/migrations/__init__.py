"""The versions of the tables, applied by alembic."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

HEAD = "0001"
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


def upgrade(connection: Connection) -> None:
    """Bring the tables to the newest version."""
    import alembic.command
    import alembic.config

    config = alembic.config.Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")
