"""Runs the steps: opens the connections, decides what is due, and keeps going until it is told to stop."""
