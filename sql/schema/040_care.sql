-- What people froze, and what they removed. Filled from the records of `hccfeat freeze` and `hccfeat gc`.

CREATE TABLE frozen (
    name            VARCHAR NOT NULL,
    cohort          VARCHAR NOT NULL,
    split           VARCHAR,
    feature_set     VARCHAR NOT NULL,
    created         VARCHAR NOT NULL,
    patients        BIGINT NOT NULL,
    images          BIGINT NOT NULL,
    cohort_sha256   VARCHAR NOT NULL,
    split_sha256    VARCHAR,
    features_sha256 VARCHAR NOT NULL
);
COMMENT ON TABLE frozen IS 'Cohort, split and feature set that a report cites; hccfeat gc leaves the feature set alone. Key: name';
COMMENT ON COLUMN frozen.name IS 'name given by hand';
COMMENT ON COLUMN frozen.cohort IS 'a row of table cohort';
COMMENT ON COLUMN frozen.split IS 'NULL if the cohort has no split';
COMMENT ON COLUMN frozen.feature_set IS 'a row of table feature_set';
COMMENT ON COLUMN frozen.created IS 'ISO 8601 time, UTC';
COMMENT ON COLUMN frozen.patients IS 'patients of the cohort when it was frozen';
COMMENT ON COLUMN frozen.images IS 'images of the cohort with a shard in the feature set when it was frozen';
COMMENT ON COLUMN frozen.cohort_sha256 IS 'hash of the cohort''s patients, clinical values, outcomes and images';
COMMENT ON COLUMN frozen.split_sha256 IS 'hash of the split''s patients, roles and folds';
COMMENT ON COLUMN frozen.features_sha256 IS 'hash of the images and the digests of their shards';

CREATE TABLE removal (
    kind    VARCHAR NOT NULL,
    name    VARCHAR NOT NULL,
    created VARCHAR NOT NULL,
    files   BIGINT NOT NULL,
    bytes   BIGINT NOT NULL
);
COMMENT ON TABLE removal IS 'Shards and reports that hccfeat gc removed on request, so that their absence is explained';
COMMENT ON COLUMN removal.kind IS 'features (the shards of a feature set) or results (the folder of a run)';
COMMENT ON COLUMN removal.name IS 'the feature set or run';
COMMENT ON COLUMN removal.created IS 'ISO 8601 time, UTC';
COMMENT ON COLUMN removal.files IS 'files removed';
COMMENT ON COLUMN removal.bytes IS 'their size';
