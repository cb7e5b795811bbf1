"""Image- and patient-level feature frames (Polars)."""
