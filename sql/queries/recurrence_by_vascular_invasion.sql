-- How often did the tumour come back, with and without vascular invasion?
-- Crude shares ignore follow-up: the report's Kaplan-Meier curves and hazard ratios do not.
SELECT
    cohort,
    coalesce(CAST(vascular_invasion AS VARCHAR), 'not recorded') AS vascular_invasion,
    count(*)                                           AS patients,
    count(*) FILTER (WHERE recurrence_event)           AS recurrences,
    count(*) FILTER (WHERE recurrence_event AND recurrence_months <= 12) AS recurrences_in_12_months,
    round(100.0 * count(*) FILTER (WHERE recurrence_event) / count(*), 1) AS percent,
    median(recurrence_months)                          AS median_months_observed
FROM patient_clinical
WHERE recurrence_event IS NOT NULL
GROUP BY ALL
ORDER BY ALL;
