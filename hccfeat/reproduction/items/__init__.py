"""One module per part of a paper: each turns results of :mod:`hccfeat.analysis` into the blocks of its items."""
