"""Patients, outcomes, endpoints and splits, read from clinical tables and checked against ``data_catalog/``."""
