"""Who is who in the store: found anew with every change, decided by people, explained and reviewed."""
