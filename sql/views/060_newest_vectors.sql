-- Template: vectors of the newest version of each feature set, so that a query needs no version.
-- `image` and `patient` stand for the tables of that version, or empty ones of the same columns.
CREATE OR REPLACE VIEW image_$base AS
SELECT $feature_set AS feature_set, image_id, patient_id, cohort, patches, mean, sd
FROM $image;

CREATE OR REPLACE VIEW patient_$base AS
SELECT $feature_set AS feature_set, patient_id, cohort, images, patches, mean
FROM $patient;

-- The usual joins: the same vectors beside what is known of the patient.
CREATE OR REPLACE VIEW clinical_image_$base AS
SELECT v.feature_set, v.image_id, v.patches, v.mean, v.sd, c.*
FROM image_$base AS v
JOIN patient_clinical AS c ON c.patient_id = v.patient_id;

CREATE OR REPLACE VIEW clinical_patient_$base AS
SELECT v.feature_set, v.images, v.patches, v.mean, c.*
FROM patient_$base AS v
JOIN patient_clinical AS c ON c.patient_id = v.patient_id;

COMMENT ON VIEW image_$base IS 'One row per image: mean and spread of its patch vectors, newest version';
COMMENT ON COLUMN image_$base.feature_set IS 'name with version';
COMMENT ON COLUMN image_$base.image_id IS 'a row of table image';
COMMENT ON COLUMN image_$base.patient_id IS 'NULL if the image is no longer in table image';
COMMENT ON COLUMN image_$base.cohort IS 'cohort of the image';
COMMENT ON COLUMN image_$base.patches IS 'usable patches of the image';
COMMENT ON COLUMN image_$base.mean IS 'mean over the usable patches';
COMMENT ON COLUMN image_$base.sd IS 'population standard deviation over the usable patches';
COMMENT ON VIEW patient_$base IS 'One row per patient: mean vector over the images, newest version';
COMMENT ON COLUMN patient_$base.feature_set IS 'name with version';
COMMENT ON COLUMN patient_$base.patient_id IS 'the patient: a row of table patient';
COMMENT ON COLUMN patient_$base.cohort IS 'cohort of the patient';
COMMENT ON COLUMN patient_$base.images IS 'images with at least one usable patch';
COMMENT ON COLUMN patient_$base.patches IS 'usable patches of these images';
COMMENT ON COLUMN patient_$base.mean IS 'mean over the image means: each image counts once';
COMMENT ON VIEW clinical_image_$base IS 'One row per image: its vector beside treatment, clinical variables and outcomes';
COMMENT ON VIEW clinical_patient_$base IS 'One row per patient: vector beside treatment, clinical variables and outcomes';
