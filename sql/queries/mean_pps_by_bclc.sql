-- What is the mean PPS of each BCLC stage?
-- DuckDB has no mean of vectors, so each vector is unfolded into its dimensions and folded again.
-- mean_pps is the mean vector over patients, mean_of_dimensions its mean in one number.
WITH long AS (
    SELECT
        c.bclc,
        p.patient_id,
        unnest(p.mean::FLOAT[])                        AS value,
        generate_subscripts(p.mean::FLOAT[], 1)        AS dimension
    FROM patient_pps AS p
    JOIN patient_clinical AS c ON c.patient_id = p.patient_id
),
by_dimension AS (
    SELECT bclc, dimension, avg(value) AS value, count(DISTINCT patient_id) AS patients
    FROM long
    GROUP BY bclc, dimension
)
SELECT
    coalesce(CAST(bclc AS VARCHAR), 'not recorded')    AS bclc,
    max(patients)                                      AS patients,
    avg(value)                                         AS mean_of_dimensions,
    list(value ORDER BY dimension)                     AS mean_pps
FROM by_dimension
GROUP BY by_dimension.bclc
ORDER BY by_dimension.bclc NULLS LAST;
