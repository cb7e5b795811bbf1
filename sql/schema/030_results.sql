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
COMMENT ON COLUMN run.started IS 'UTC';

CREATE TABLE prediction (
    run_id     VARCHAR NOT NULL,
    endpoint   VARCHAR NOT NULL,
    cohort     VARCHAR NOT NULL,
    split      VARCHAR NOT NULL,
    model      VARCHAR NOT NULL,
    patient_id VARCHAR NOT NULL,
    risk       DOUBLE
);
COMMENT ON TABLE prediction IS 'Risk of a patient by a model. Key: run_id, endpoint, split, model, patient_id';
COMMENT ON COLUMN prediction.split IS 'apparent (patients seen in training), held_out, external or cross_validation';

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
COMMENT ON COLUMN metric.split IS 'apparent (patients seen in training), held_out, external or cross_validation';

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
COMMENT ON COLUMN hazard_ratio.kind IS 'univariable; univariable, apparent; risk group; risk per SD';
COMMENT ON COLUMN hazard_ratio.ties IS 'how tied event times are handled: efron';

CREATE TABLE model_file (
    model       VARCHAR NOT NULL,
    feature_set VARCHAR,
    path        VARCHAR,
    sha256      VARCHAR
);
COMMENT ON TABLE model_file IS 'Trained weights under models/. Key: model';
