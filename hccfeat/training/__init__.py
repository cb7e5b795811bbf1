"""Labels, losses and training loops, on the patients they are given."""
