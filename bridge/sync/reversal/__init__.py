"""Undo: what a run wrote is taken back, as far as nobody changed it since."""
