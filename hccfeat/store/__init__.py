"""Immutable shards and records, and the DuckDB catalog derived from them."""
