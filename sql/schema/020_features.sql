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
COMMENT ON COLUMN feature_set.base IS 'name without version';
COMMENT ON COLUMN feature_set.version IS 'counts up from 1 under each base';
COMMENT ON COLUMN feature_set.sha256 IS 'identity: hash of encoder, weights, preprocessing, output, dimension and dtype';
COMMENT ON COLUMN feature_set.encoder IS 'what made the vectors';
COMMENT ON COLUMN feature_set.weights_sha256 IS 'SHA-256 of the weights file';
COMMENT ON COLUMN feature_set.dim IS 'length of a vector';
COMMENT ON COLUMN feature_set.dtype IS 'type of a vector''s numbers in the shards';
COMMENT ON COLUMN feature_set.recipe IS 'settings of tiling, training and network';
COMMENT ON COLUMN feature_set.preprocessing_sha256 IS 'hash of the settings that decide the patches or prepared volumes';
COMMENT ON COLUMN feature_set.simulated IS 'true if simulated images trained the encoder';
COMMENT ON COLUMN feature_set.fold IS 'outer fold whose patients the encoder has not seen; NULL outside cross-validation';
COMMENT ON COLUMN feature_set.modality IS 'slide or mri; NULL in records of older versions means slide';
COMMENT ON COLUMN feature_set.output IS 'what of the network is stored: embedding, or z_pre or z_hbp (one phase of an exam); NULL means embedding';

CREATE TABLE feature_set_patient (
    feature_set VARCHAR NOT NULL,
    patient_id  VARCHAR NOT NULL,
    role        VARCHAR NOT NULL
);
COMMENT ON TABLE feature_set_patient IS 'Patients that an encoder has seen: judge no model on them. Key: all columns';
COMMENT ON COLUMN feature_set_patient.feature_set IS 'the encoder: a row of table feature_set';
COMMENT ON COLUMN feature_set_patient.patient_id IS 'the patient: a row of table patient';
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
COMMENT ON COLUMN shard.feature_set IS 'a row of table feature_set';
COMMENT ON COLUMN shard.image_id IS 'a row of table image';
COMMENT ON COLUMN shard.path IS 'relative to the study folder';
COMMENT ON COLUMN shard.bytes IS 'size of the file';
COMMENT ON COLUMN shard.mtime_ns IS 'modification time of the file, ns since 1970';
COMMENT ON COLUMN shard.digest IS 'SHA-256 over the image id and every array; hccfeat verify recomputes it';
COMMENT ON COLUMN shard.patches IS 'usable patches, one vector each; an MRI exam counts as one';
COMMENT ON COLUMN shard.skipped IS 'candidate patches without a vector; the columns skipped_* count them by reason';
COMMENT ON COLUMN shard.skipped_background IS 'candidates with more background than the recipe allows';
COMMENT ON COLUMN shard.skipped_read_error IS 'candidates whose region could not be decoded';
COMMENT ON COLUMN shard.skipped_blank IS 'candidates without content';
COMMENT ON COLUMN shard.skipped_blurred IS 'candidates out of focus';
COMMENT ON COLUMN shard.skipped_not_sampled IS 'usable candidates beyond the recipe''s number per image';
COMMENT ON COLUMN shard.status IS 'ok or excluded (the whole image; reason says why)';
COMMENT ON COLUMN shard.reason IS 'why the image is excluded; empty if it is ok';
COMMENT ON COLUMN shard.stain_h_r IS 'haematoxylin unit optical-density vector, red';
COMMENT ON COLUMN shard.stain_h_g IS 'haematoxylin unit optical-density vector, green';
COMMENT ON COLUMN shard.stain_h_b IS 'haematoxylin unit optical-density vector, blue';
COMMENT ON COLUMN shard.stain_e_r IS 'eosin unit optical-density vector, red';
COMMENT ON COLUMN shard.stain_e_g IS 'eosin unit optical-density vector, green';
COMMENT ON COLUMN shard.stain_e_b IS 'eosin unit optical-density vector, blue';
COMMENT ON COLUMN shard.stain_accepted IS 'whether the fit of the stain vectors was used';
COMMENT ON COLUMN shard.tissue_fraction IS 'share of tissue on the thumbnail, 0 to 1';
COMMENT ON COLUMN shard.mean_red IS 'mean of the raw usable patches, 0-255';
COMMENT ON COLUMN shard.mean_green IS 'mean of the raw usable patches, 0-255';
COMMENT ON COLUMN shard.mean_blue IS 'mean of the raw usable patches, 0-255';

CREATE TABLE extraction_failure (
    feature_set VARCHAR NOT NULL,
    image_id    VARCHAR NOT NULL,
    kind        VARCHAR NOT NULL,
    message     VARCHAR
);
COMMENT ON TABLE extraction_failure IS 'Images without a shard and the latest reason. Key: feature_set, image_id';
COMMENT ON COLUMN extraction_failure.feature_set IS 'a row of table feature_set';
COMMENT ON COLUMN extraction_failure.image_id IS 'a row of table image';
COMMENT ON COLUMN extraction_failure.kind IS 'kind of failure';
COMMENT ON COLUMN extraction_failure.message IS 'what is wrong and what to do';
