-- How much of each cohort does each feature set cover?
-- A feature set counts images of its own modality: slides or MRI exams. Cohorts without any are listed too, with
-- a NULL feature set.
SELECT
    c.cohort,
    v.feature_set,
    v.modality,
    count_patients.patients,
    coalesce(v.images, 0)                              AS images,
    coalesce(v.embedded, 0)                            AS embedded,
    coalesce(v.excluded, 0)                            AS excluded,
    coalesce(v.failed, 0)                              AS failed,
    coalesce(v.missing, 0)                             AS missing,
    round(100.0 * v.embedded / v.images, 1)            AS percent_embedded
FROM cohort AS c
LEFT JOIN (SELECT cohort, count(*) AS patients FROM patient GROUP BY cohort) AS count_patients
    ON count_patients.cohort = c.cohort
LEFT JOIN coverage AS v ON v.cohort = c.cohort
ORDER BY c.cohort, v.feature_set;
