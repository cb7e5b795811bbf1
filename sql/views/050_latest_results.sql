-- Results of the latest analysis of each endpoint.
CREATE OR REPLACE VIEW latest_metric AS
SELECT m.*
FROM metric AS m
LEFT JOIN run AS r ON r.run_id = m.run_id
QUALIFY rank() OVER (PARTITION BY m.endpoint ORDER BY r.started DESC NULLS LAST, m.run_id DESC) = 1;

CREATE OR REPLACE VIEW latest_subgroup_metric AS
SELECT m.*
FROM subgroup_metric AS m
LEFT JOIN run AS r ON r.run_id = m.run_id
QUALIFY rank() OVER (PARTITION BY m.endpoint ORDER BY r.started DESC NULLS LAST, m.run_id DESC) = 1;

CREATE OR REPLACE VIEW latest_hazard_ratio AS
SELECT h.*
FROM hazard_ratio AS h
LEFT JOIN run AS r ON r.run_id = h.run_id
QUALIFY rank() OVER (PARTITION BY h.endpoint ORDER BY r.started DESC NULLS LAST, h.run_id DESC) = 1;

CREATE OR REPLACE VIEW latest_prediction AS
SELECT p.*
FROM prediction AS p
LEFT JOIN run AS r ON r.run_id = p.run_id
QUALIFY rank() OVER (PARTITION BY p.endpoint ORDER BY r.started DESC NULLS LAST, p.run_id DESC) = 1;

CREATE OR REPLACE VIEW latest_prediction_outcome AS
SELECT p.*, o.* EXCLUDE (patient_id)
FROM latest_prediction AS p
LEFT JOIN patient_outcome AS o ON o.patient_id = p.patient_id;

COMMENT ON VIEW latest_metric IS 'Metrics of the newest analysis of each endpoint';
COMMENT ON VIEW latest_subgroup_metric IS 'Metrics within groups of patients of the newest analysis of each endpoint that has any';
COMMENT ON VIEW latest_hazard_ratio IS 'Hazard ratios of the newest analysis of each endpoint';
COMMENT ON VIEW latest_prediction IS 'Risks of the newest analysis of each endpoint';
COMMENT ON VIEW latest_prediction_outcome IS 'Risks of the newest analysis of each endpoint beside what became of the patient';
