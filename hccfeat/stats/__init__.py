"""Pure functions on arrays: discrimination, survival, logistic regression, resampling."""
