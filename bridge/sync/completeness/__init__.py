"""Reconcile: source, store, journeys and CRM compared, and what is ours put right."""
