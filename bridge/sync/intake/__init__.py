"""Collect and resolve: what channels tell is stored as it came, then becomes entities, people and journeys."""
