"""Does the method work? Studies on simulated cohorts whose truth is known, each with its negative control."""
