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
COMMENT ON COLUMN record.created IS 'ISO 8601 time, UTC';

CREATE TABLE catalog_fact (
    fact  VARCHAR NOT NULL,
    value VARCHAR
);
COMMENT ON TABLE catalog_fact IS 'schema: hash of the SQL that made this catalog. Key: fact';
