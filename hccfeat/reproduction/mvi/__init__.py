"""``hccfeat reproduce mvi``: cross-validation of every method of paper 2, and its tables."""
