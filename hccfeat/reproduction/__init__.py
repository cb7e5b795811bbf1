"""The studies of the papers from a study's store: items in the papers' order, each beside the printed values."""
