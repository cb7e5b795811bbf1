-- Template: the two tables of vectors of one feature set. `name` is its name with _ for -, `dim` its dimension.
-- Images without a usable patch have no row.

CREATE TABLE image_vector_$name (
    image_id   VARCHAR NOT NULL,
    patient_id VARCHAR,
    cohort     VARCHAR NOT NULL,
    patches    BIGINT NOT NULL,
    mean       FLOAT[$dim] NOT NULL,
    sd         FLOAT[$dim] NOT NULL
);
COMMENT ON TABLE image_vector_$name IS 'Image-level features of $feature_set. Key: image_id';
COMMENT ON COLUMN image_vector_$name.image_id IS 'a row of table image';
COMMENT ON COLUMN image_vector_$name.patient_id IS 'NULL if the image is no longer in table image';
COMMENT ON COLUMN image_vector_$name.cohort IS 'cohort of the image';
COMMENT ON COLUMN image_vector_$name.patches IS 'usable patches of the image';
COMMENT ON COLUMN image_vector_$name.mean IS 'mean over the usable patches';
COMMENT ON COLUMN image_vector_$name.sd IS 'population standard deviation over the usable patches';

CREATE TABLE patient_vector_$name (
    patient_id VARCHAR NOT NULL,
    cohort     VARCHAR NOT NULL,
    images     BIGINT NOT NULL,
    patches    BIGINT NOT NULL,
    mean       FLOAT[$dim] NOT NULL
);
COMMENT ON TABLE patient_vector_$name IS 'Patient-level features of $feature_set. Key: patient_id';
COMMENT ON COLUMN patient_vector_$name.patient_id IS 'the patient: a row of table patient';
COMMENT ON COLUMN patient_vector_$name.cohort IS 'cohort of the patient';
COMMENT ON COLUMN patient_vector_$name.images IS 'images with at least one usable patch';
COMMENT ON COLUMN patient_vector_$name.patches IS 'usable patches of these images';
COMMENT ON COLUMN patient_vector_$name.mean IS 'mean over the image means: each image counts once';
