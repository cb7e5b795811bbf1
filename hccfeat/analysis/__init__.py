"""Questions of the papers, one module each; every one returns dataclasses of :mod:`hccfeat.analysis.results`."""
