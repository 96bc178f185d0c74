"""`python -m bridge.cli` is `crmbridge`."""

from bridge.cli.app import main

main()
