"""What the store tells people: journeys, who waits, how connections stand, how far budgets reach."""
