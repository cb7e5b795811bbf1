-- Which clinical values and outcomes are missing, and how often, by cohort?
SELECT
    cohort,
    variable,
    count(*)                                           AS patients,
    count(*) FILTER (WHERE value IS NULL)              AS missing,
    round(100.0 * count(*) FILTER (WHERE value IS NULL) / count(*), 1) AS percent_missing
FROM (
    SELECT cohort, variable, value
    FROM (SELECT cohort, COLUMNS(* EXCLUDE (patient_id, cohort))::VARCHAR FROM patient_clinical)
    UNPIVOT INCLUDE NULLS (value FOR variable IN (* EXCLUDE (cohort)))
)
GROUP BY cohort, variable
ORDER BY cohort, missing DESC, variable;
