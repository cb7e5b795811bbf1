-- Outcomes of a patient side by side.
CREATE OR REPLACE VIEW patient_outcome AS
SELECT
    patient_id,
    max(months) FILTER (WHERE outcome = 'recurrence')  AS recurrence_months,
    bool_or(event) FILTER (WHERE outcome = 'recurrence') AS recurrence_event,
    max(months) FILTER (WHERE outcome = 'os')          AS os_months,
    bool_or(event) FILTER (WHERE outcome = 'os')       AS os_event,
    max(months) FILTER (WHERE outcome = 'dss')         AS dss_months,
    bool_or(event) FILTER (WHERE outcome = 'dss')      AS dss_event,
    max(months) FILTER (WHERE outcome = 'dfi')         AS dfi_months,
    bool_or(event) FILTER (WHERE outcome = 'dfi')      AS dfi_event,
    max(months) FILTER (WHERE outcome = 'pfi')         AS pfi_months,
    bool_or(event) FILTER (WHERE outcome = 'pfi')      AS pfi_event
FROM outcome
GROUP BY patient_id;
COMMENT ON VIEW patient_outcome IS 'One row per patient: every outcome side by side; NULL = not recorded';
COMMENT ON COLUMN patient_outcome.recurrence_months IS 'months to recurrence, or to censoring';
COMMENT ON COLUMN patient_outcome.recurrence_event IS 'recurrence: true = it happened, false = censored then';
COMMENT ON COLUMN patient_outcome.os_months IS 'months to death from any cause, or to censoring';
COMMENT ON COLUMN patient_outcome.os_event IS 'death from any cause: true = it happened, false = censored then';
COMMENT ON COLUMN patient_outcome.dss_months IS 'months to death from the disease, or to censoring';
COMMENT ON COLUMN patient_outcome.dss_event IS 'death from the disease: true = it happened, false = censored then';
COMMENT ON COLUMN patient_outcome.dfi_months IS 'months to recurrence or death after a disease-free state (disease-free interval), or to censoring';
COMMENT ON COLUMN patient_outcome.dfi_event IS 'recurrence or death after a disease-free state (disease-free interval): true = it happened, false = censored then';
COMMENT ON COLUMN patient_outcome.pfi_months IS 'months to progression or death (progression-free interval), or to censoring';
COMMENT ON COLUMN patient_outcome.pfi_event IS 'progression or death (progression-free interval): true = it happened, false = censored then';
