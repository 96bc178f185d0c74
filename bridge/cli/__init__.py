"""The command line: one module for each group of commands."""

from bridge.cli.app import app, main

__all__ = ["app", "main"]
