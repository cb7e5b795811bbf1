-- Feature sets and their shards. The vectors themselves are in the tables of vectors.sql.

CREATE TABLE feature_set (
    feature_set          VARCHAR NOT NULL,
    base                 VARCHAR NOT NULL,
    version              BIGINT NOT NULL,
    sha256               VARCHAR NOT NULL,
    encoder              VARCHAR,
    weights_sha256       VARCHAR,
    dim                  BIGINT NOT NULL,
    dtype                VARCHAR,
    recipe               JSON,
    preprocessing_sha256 VARCHAR,
    simulated            BOOLEAN,
    fold                 BIGINT,
    modality             VARCHAR,
    output               VARCHAR
);
COMMENT ON TABLE feature_set IS 'An encoder with its weights and preprocessing. Key: feature_set';
COMMENT ON COLUMN feature_set.feature_set IS 'name with version, such as pps-1';
COMMENT ON COLUMN feature_set.sha256 IS 'identity: hash of encoder, weights, preprocessing, output, dimension and dtype';
COMMENT ON COLUMN feature_set.fold IS 'outer fold whose patients the encoder has not seen; NULL outside cross-validation';
COMMENT ON COLUMN feature_set.modality IS 'slide or mri; NULL in records of older versions means slide';
COMMENT ON COLUMN feature_set.output IS 'what of the network is stored: embedding, or z_pre or z_hbp (one phase of an exam); NULL means embedding';

CREATE TABLE feature_set_patient (
    feature_set VARCHAR NOT NULL,
    patient_id  VARCHAR NOT NULL,
    role        VARCHAR NOT NULL
);
COMMENT ON TABLE feature_set_patient IS 'Patients that an encoder has seen: judge no model on them. Key: all columns';
COMMENT ON COLUMN feature_set_patient.role IS 'trained, stopped or selected';

CREATE TABLE shard (
    feature_set         VARCHAR NOT NULL,
    image_id            VARCHAR NOT NULL,
    path                VARCHAR NOT NULL,
    bytes               BIGINT NOT NULL,
    mtime_ns            BIGINT NOT NULL,
    digest              VARCHAR NOT NULL,
    patches             BIGINT NOT NULL,
    skipped             BIGINT NOT NULL,
    skipped_background  BIGINT NOT NULL,
    skipped_read_error  BIGINT NOT NULL,
    skipped_blank       BIGINT NOT NULL,
    skipped_blurred     BIGINT NOT NULL,
    skipped_not_sampled BIGINT NOT NULL,
    status              VARCHAR,
    reason              VARCHAR,
    stain_h_r           DOUBLE,
    stain_h_g           DOUBLE,
    stain_h_b           DOUBLE,
    stain_e_r           DOUBLE,
    stain_e_g           DOUBLE,
    stain_e_b           DOUBLE,
    stain_accepted      BOOLEAN,
    tissue_fraction     DOUBLE,
    mean_red            DOUBLE,
    mean_green          DOUBLE,
    mean_blue           DOUBLE
);
COMMENT ON TABLE shard IS 'Committed shards: one HDF5 file per image and feature set. Key: feature_set, image_id';
COMMENT ON COLUMN shard.path IS 'relative to the study folder';
COMMENT ON COLUMN shard.digest IS 'SHA-256 over the image id and every array; hccfeat verify recomputes it';
COMMENT ON COLUMN shard.patches IS 'usable patches, one vector each; an MRI exam counts as one';
COMMENT ON COLUMN shard.skipped IS 'candidate patches without a vector; the columns skipped_* count them by reason';
COMMENT ON COLUMN shard.status IS 'ok or excluded (the whole image; reason says why)';
COMMENT ON COLUMN shard.stain_h_r IS 'haematoxylin unit optical-density vector, red';
COMMENT ON COLUMN shard.stain_e_r IS 'eosin unit optical-density vector, red';
COMMENT ON COLUMN shard.mean_red IS 'mean of the raw usable patches, 0-255';

CREATE TABLE extraction_failure (
    feature_set VARCHAR NOT NULL,
    image_id    VARCHAR NOT NULL,
    kind        VARCHAR NOT NULL,
    message     VARCHAR
);
COMMENT ON TABLE extraction_failure IS 'Images without a shard and the latest reason. Key: feature_set, image_id';
