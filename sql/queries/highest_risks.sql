-- Which held-out or external patients have the highest predicted risk, and what became of them?
SELECT
    p.endpoint,
    p.model,
    p.split,
    p.patient_id,
    p.risk,
    o.recurrence_months,
    o.recurrence_event
FROM latest_prediction AS p
LEFT JOIN patient_outcome AS o ON o.patient_id = p.patient_id
WHERE p.split IN ('held_out', 'external')
QUALIFY row_number() OVER (PARTITION BY p.endpoint, p.model, p.split ORDER BY p.risk DESC, p.patient_id) <= 10
ORDER BY p.endpoint, p.model, p.split, p.risk DESC, p.patient_id;
