"""Plan, train, embed one entity, publish."""
