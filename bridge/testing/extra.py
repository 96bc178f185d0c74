"""What is said to somebody who starts a stand-in without the packages that it needs."""

from __future__ import annotations


def needs_extra(missing: ModuleNotFoundError) -> str:
    """Return which package is not there, and which extra brings it."""
    return (
        f"{missing.name} is not installed: a stand-in needs what the extra `testing` brings."
        " Install it: pip install 'crmbridge[testing]', or in a checkout: pip install '.[testing]'"
    )
