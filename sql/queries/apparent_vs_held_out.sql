-- How much better does each model look on patients it has seen than on held-out ones?
-- Only held-out and external numbers say how good a model is.
SELECT
    endpoint,
    model,
    metric,
    max(estimate) FILTER (WHERE split = 'apparent')    AS apparent,
    max(estimate) FILTER (WHERE split = 'held_out')    AS held_out,
    max(lower) FILTER (WHERE split = 'held_out')       AS held_out_lower,
    max(upper) FILTER (WHERE split = 'held_out')       AS held_out_upper,
    max(n) FILTER (WHERE split = 'held_out')           AS held_out_n,
    max(estimate) FILTER (WHERE split = 'apparent')
        - max(estimate) FILTER (WHERE split = 'held_out') AS optimism
FROM latest_metric
WHERE split IN ('apparent', 'held_out')
GROUP BY endpoint, cohort, model, metric
ORDER BY endpoint, cohort, metric, model;
