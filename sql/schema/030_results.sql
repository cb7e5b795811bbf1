-- What was run and what was found: the numbers of every report are rows here too.

CREATE TABLE run (
    run_id   VARCHAR NOT NULL,
    command  VARCHAR,
    started  TIMESTAMP,
    seconds  DOUBLE,
    versions JSON,
    settings JSON
);
COMMENT ON TABLE run IS 'Runs of extract, analyze and predict. Key: run_id';
COMMENT ON COLUMN run.run_id IS 'name of the run, and of its folder under results/';
COMMENT ON COLUMN run.command IS 'what was run';
COMMENT ON COLUMN run.started IS 'UTC';
COMMENT ON COLUMN run.seconds IS 'how long it took';
COMMENT ON COLUMN run.versions IS 'of hccfeat and the libraries';
COMMENT ON COLUMN run.settings IS 'options of the run and the study file';

CREATE TABLE prediction (
    run_id      VARCHAR NOT NULL,
    endpoint    VARCHAR NOT NULL,
    cohort      VARCHAR NOT NULL,
    split       VARCHAR NOT NULL,
    model       VARCHAR NOT NULL,
    patient_id  VARCHAR NOT NULL,
    risk        DOUBLE,
    probability DOUBLE
);
COMMENT ON TABLE prediction IS 'Risk of a patient by a model. Key: run_id, endpoint, split, model, patient_id';
COMMENT ON COLUMN prediction.run_id IS 'a row of table run';
COMMENT ON COLUMN prediction.endpoint IS 'what is predicted, such as 1y';
COMMENT ON COLUMN prediction.cohort IS 'cohort of the patient';
COMMENT ON COLUMN prediction.split IS 'apparent (patients seen in training), held_out, external or cross_validation';
COMMENT ON COLUMN prediction.model IS 'name of the model';
COMMENT ON COLUMN prediction.patient_id IS 'the patient: a row of table patient';
COMMENT ON COLUMN prediction.risk IS 'higher = worse; ranks patients';
COMMENT ON COLUMN prediction.probability IS 'of the label, or of the event by the endpoint''s horizon; NULL where the model gives none';

CREATE TABLE metric (
    run_id   VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    cohort   VARCHAR NOT NULL,
    split    VARCHAR NOT NULL,
    model    VARCHAR NOT NULL,
    metric   VARCHAR NOT NULL,
    estimate DOUBLE,
    lower    DOUBLE,
    upper    DOUBLE,
    n        BIGINT,
    events   BIGINT,
    method   VARCHAR
);
COMMENT ON TABLE metric IS 'One number of one model with its 95 % interval';
COMMENT ON COLUMN metric.run_id IS 'a row of table run';
COMMENT ON COLUMN metric.endpoint IS 'what is predicted, such as 1y';
COMMENT ON COLUMN metric.cohort IS 'cohort of the patients judged';
COMMENT ON COLUMN metric.split IS 'apparent (patients seen in training), held_out, external or cross_validation';
COMMENT ON COLUMN metric.model IS 'name of the model';
COMMENT ON COLUMN metric.metric IS 'what is measured, such as auroc';
COMMENT ON COLUMN metric.estimate IS 'the number';
COMMENT ON COLUMN metric.lower IS 'lower end of the 95 % interval';
COMMENT ON COLUMN metric.upper IS 'upper end of the 95 % interval';
COMMENT ON COLUMN metric.n IS 'patients';
COMMENT ON COLUMN metric.events IS 'patients with the event';
COMMENT ON COLUMN metric.method IS 'how number and interval are computed';

CREATE TABLE subgroup_metric (
    run_id   VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    cohort   VARCHAR NOT NULL,
    split    VARCHAR NOT NULL,
    model    VARCHAR NOT NULL,
    item     VARCHAR NOT NULL,
    level    VARCHAR NOT NULL,
    metric   VARCHAR NOT NULL,
    estimate DOUBLE,
    lower    DOUBLE,
    upper    DOUBLE,
    n        BIGINT,
    events   BIGINT,
    method   VARCHAR
);
COMMENT ON TABLE subgroup_metric IS 'One number of one model within a group of patients, with its 95 % interval';
COMMENT ON COLUMN subgroup_metric.run_id IS 'a row of table run';
COMMENT ON COLUMN subgroup_metric.endpoint IS 'what is predicted, such as 1y';
COMMENT ON COLUMN subgroup_metric.cohort IS 'cohort of the patients judged';
COMMENT ON COLUMN subgroup_metric.split IS 'held_out, external or cross_validation';
COMMENT ON COLUMN subgroup_metric.model IS 'name of the model';
COMMENT ON COLUMN subgroup_metric.item IS 'clinical variable that makes the groups, such as sex';
COMMENT ON COLUMN subgroup_metric.level IS 'the group, such as female; not recorded: patients without a value';
COMMENT ON COLUMN subgroup_metric.metric IS 'c_index, auroc or observed_expected';
COMMENT ON COLUMN subgroup_metric.estimate IS 'the number';
COMMENT ON COLUMN subgroup_metric.lower IS 'lower end of the 95 % interval';
COMMENT ON COLUMN subgroup_metric.upper IS 'upper end of the 95 % interval';
COMMENT ON COLUMN subgroup_metric.n IS 'patients of the group';
COMMENT ON COLUMN subgroup_metric.events IS 'patients of the group with the event';
COMMENT ON COLUMN subgroup_metric.method IS 'how number and interval are computed, or why there is none';

CREATE TABLE hazard_ratio (
    run_id   VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    cohort   VARCHAR NOT NULL,
    kind     VARCHAR NOT NULL,
    term     VARCHAR NOT NULL,
    hr       DOUBLE,
    lower    DOUBLE,
    upper    DOUBLE,
    p        DOUBLE,
    n        BIGINT,
    events   BIGINT,
    ties     VARCHAR
);
COMMENT ON TABLE hazard_ratio IS 'Cox hazard ratios with 95 % intervals';
COMMENT ON COLUMN hazard_ratio.run_id IS 'a row of table run';
COMMENT ON COLUMN hazard_ratio.endpoint IS 'what is predicted';
COMMENT ON COLUMN hazard_ratio.cohort IS 'cohort of the patients';
COMMENT ON COLUMN hazard_ratio.kind IS 'univariable; univariable, apparent; risk group; risk per SD';
COMMENT ON COLUMN hazard_ratio.term IS 'variable or group of the ratio';
COMMENT ON COLUMN hazard_ratio.hr IS 'hazard ratio';
COMMENT ON COLUMN hazard_ratio.lower IS 'lower end of the 95 % interval';
COMMENT ON COLUMN hazard_ratio.upper IS 'upper end of the 95 % interval';
COMMENT ON COLUMN hazard_ratio.p IS 'p value';
COMMENT ON COLUMN hazard_ratio.n IS 'patients';
COMMENT ON COLUMN hazard_ratio.events IS 'patients with the event';
COMMENT ON COLUMN hazard_ratio.ties IS 'how tied event times are handled: efron';

CREATE TABLE model_file (
    model       VARCHAR NOT NULL,
    feature_set VARCHAR,
    path        VARCHAR,
    sha256      VARCHAR
);
COMMENT ON TABLE model_file IS 'Trained weights under models/. Key: model';
COMMENT ON COLUMN model_file.model IS 'name of the model, and of its folder under models/';
COMMENT ON COLUMN model_file.feature_set IS 'feature set that it makes or reads';
COMMENT ON COLUMN model_file.path IS 'relative to the study folder';
COMMENT ON COLUMN model_file.sha256 IS 'SHA-256 of the file';
