-- Template: vectors of the newest version of each feature set, so that a query needs no version.
-- `image` and `patient` stand for the tables of that version, or empty ones of the same columns.
CREATE OR REPLACE VIEW image_$base AS
SELECT $feature_set AS feature_set, image_id, patient_id, cohort, patches, mean, sd
FROM $image;

CREATE OR REPLACE VIEW patient_$base AS
SELECT $feature_set AS feature_set, patient_id, cohort, images, patches, mean
FROM $patient;
