"""The store: SQLAlchemy Core on SQLite or PostgreSQL; its tables hold the truth."""
