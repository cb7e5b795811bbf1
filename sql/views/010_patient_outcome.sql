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
