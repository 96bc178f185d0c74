"""Deliver: what a CRM should show of a journey, the plan from there, its writes, and what became of them."""
