"""What connector authors test with: the base of vendor stand-ins and the conformance suite."""
