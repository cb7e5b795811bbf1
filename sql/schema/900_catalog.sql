-- Bookkeeping of the catalog itself. The catalog is derived: records and shards make it again.

CREATE TABLE record (
    sequence BIGINT NOT NULL,
    kind     VARCHAR NOT NULL,
    name     VARCHAR NOT NULL,
    created  VARCHAR NOT NULL,
    path     VARCHAR NOT NULL,
    digest   VARCHAR NOT NULL
);
COMMENT ON TABLE record IS 'Records that are applied in this catalog. Key: sequence';
COMMENT ON COLUMN record.sequence IS 'number of the record; orders all';
COMMENT ON COLUMN record.kind IS 'ingest, splits, runs, results, freezes or feature_sets';
COMMENT ON COLUMN record.name IS 'what it is about';
COMMENT ON COLUMN record.created IS 'ISO 8601 time, UTC';
COMMENT ON COLUMN record.path IS 'relative to the study folder';
COMMENT ON COLUMN record.digest IS 'SHA-256 of the record''s content';

CREATE TABLE catalog_fact (
    fact  VARCHAR NOT NULL,
    value VARCHAR
);
COMMENT ON TABLE catalog_fact IS 'schema: hash of the SQL that made this catalog. Key: fact';
COMMENT ON COLUMN catalog_fact.fact IS 'name of the fact';
COMMENT ON COLUMN catalog_fact.value IS 'the fact';
