-- How does each model do within groups of patients, such as women and men, in the latest analysis of each endpoint?
SELECT endpoint, cohort, split, model, item, level, metric, estimate, lower, upper, n, events, method
FROM latest_subgroup_metric
ORDER BY endpoint, cohort, split, item, level, metric, model;
