-- What are the hazard ratios of the latest analysis of each endpoint?
SELECT endpoint, cohort, kind, term, hr, lower, upper, p, n, events, ties
FROM latest_hazard_ratio
ORDER BY endpoint, cohort, kind, p NULLS LAST, term;
