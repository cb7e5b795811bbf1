-- Which patients has each encoder seen, by their role in the frozen split?
-- A test patient in this table would be a leak; models are judged on patients outside it.
SELECT
    f.feature_set,
    f.role                                             AS role_in_training,
    s.split,
    coalesce(s.role, 'in no split')                    AS role_in_split,
    count(*)                                           AS patients
FROM feature_set_patient AS f
LEFT JOIN split AS s ON s.patient_id = f.patient_id
GROUP BY ALL
ORDER BY ALL;
