"""Cohorts with known truth, written as a hospital would deliver them."""
