"""Items of paper 2, by subject."""
