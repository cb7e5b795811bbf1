-- Which patients have both a PPS and an MRI vector, and what is their MVI grade?
-- One row per patient, both vectors side by side: the input of a model of both modalities.
SELECT
    c.patient_id,
    c.cohort,
    c.mvi_grade,
    c.recurrence_months,
    c.recurrence_event,
    p.feature_set                                      AS pps_feature_set,
    p.mean                                             AS pps,
    m.feature_set                                      AS mri_feature_set,
    m.mean                                             AS mri
FROM patient_clinical AS c
JOIN patient_pps AS p ON p.patient_id = c.patient_id
JOIN patient_mri AS m ON m.patient_id = c.patient_id
ORDER BY c.patient_id;
