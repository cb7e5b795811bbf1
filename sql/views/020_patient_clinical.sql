-- One row per patient: treatment, every clinical variable of the study, and the outcomes.
-- Template: `columns` stands for the study's clinical columns; the usual variables that it lacks are NULL.
CREATE OR REPLACE VIEW patient_clinical AS
SELECT
    p.patient_id,
    p.cohort,
    p.treatment,
$columns
    o.* EXCLUDE (patient_id)
FROM patient AS p
LEFT JOIN clinical AS c ON c.patient_id = p.patient_id
LEFT JOIN patient_outcome AS o ON o.patient_id = p.patient_id;
COMMENT ON VIEW patient_clinical IS 'One row per patient: treatment, clinical variables and outcomes; missing is NULL';
