"""The domain, pure and without I/O: entities, who is who, indicators and the texts of a journey."""
