-- Who and what is in the study: cohorts, patients, outcomes, images, and what was left out.
-- Filled from the records of `hccfeat ingest`, `hccfeat extract` (splits) and hand-made freezes.
-- There are no indexes: a scan of a column of ids takes milliseconds, and an index would be rewritten at
-- every checkpoint. The committer refuses a second row with the same key (named in each table's comment).

CREATE TABLE cohort (
    cohort        VARCHAR NOT NULL,
    title         VARCHAR,
    format        VARCHAR,
    simulated     BOOLEAN,
    source_file   VARCHAR,
    source_sha256 VARCHAR,
    images        BIGINT,
    note          VARCHAR
);
COMMENT ON TABLE cohort IS 'One row per ingested cohort. Key: cohort';
COMMENT ON COLUMN cohort.format IS 'plain, gdc or tcga-cdr';
COMMENT ON COLUMN cohort.simulated IS 'true for data made by hccfeat simulate';

CREATE TABLE patient (
    patient_id VARCHAR NOT NULL,
    cohort     VARCHAR NOT NULL,
    treatment  VARCHAR
);
COMMENT ON TABLE patient IS 'One row per patient. Key: patient_id';
COMMENT ON COLUMN patient.patient_id IS '<cohort>/<id in the clinical table>';
COMMENT ON COLUMN patient.treatment IS 'adjuvant treatment: none or sorafenib; NULL = not recorded, treated like none';

-- One further column per clinical variable is added by the ingest records (DOUBLE, BOOLEAN, BIGINT or VARCHAR).
CREATE TABLE clinical (
    patient_id VARCHAR NOT NULL
);
COMMENT ON TABLE clinical IS 'Clinical variables, one column each; missing is NULL, never NaN. Key: patient_id';

CREATE TABLE outcome (
    patient_id VARCHAR NOT NULL,
    outcome    VARCHAR NOT NULL,
    months     DOUBLE NOT NULL,
    event      BOOLEAN NOT NULL
);
COMMENT ON TABLE outcome IS 'Survival outcomes, long. Key: patient_id, outcome';
COMMENT ON COLUMN outcome.outcome IS 'recurrence, os, dss, dfi or pfi';
COMMENT ON COLUMN outcome.months IS 'time to event or censoring, months of 365.25 / 12 days';

CREATE TABLE image (
    image_id     VARCHAR NOT NULL,
    patient_id   VARCHAR NOT NULL,
    cohort       VARCHAR NOT NULL,
    path         VARCHAR,
    bytes        BIGINT,
    mtime_ns     BIGINT,
    quick_sha256 VARCHAR,
    reader       VARCHAR,
    width        BIGINT,
    height       BIGINT,
    mpp          DOUBLE,
    mpp_source   VARCHAR,
    status       VARCHAR,
    reason       VARCHAR
);
COMMENT ON TABLE image IS 'Slides and images that were found. Key: image_id';
COMMENT ON COLUMN image.image_id IS '<cohort>/<file stem>';
COMMENT ON COLUMN image.quick_sha256 IS 'hash of size, first and last MiB of the file';
COMMENT ON COLUMN image.width IS 'pixels of level 0';
COMMENT ON COLUMN image.height IS 'pixels of level 0';
COMMENT ON COLUMN image.mpp IS 'micrometres per pixel of level 0';
COMMENT ON COLUMN image.status IS 'ok, or the kind of failure; reason says more';

CREATE TABLE rejected_row (
    cohort      VARCHAR NOT NULL,
    source_file VARCHAR,
    row_number  BIGINT,
    column_name VARCHAR,
    reason      VARCHAR
);
COMMENT ON TABLE rejected_row IS 'Values and rows of the clinical tables that were refused, without the values';

CREATE TABLE attrition (
    cohort      VARCHAR NOT NULL,
    step_number BIGINT NOT NULL,
    step        VARCHAR,
    n           BIGINT,
    excluded    BIGINT,
    reason      VARCHAR
);
COMMENT ON TABLE attrition IS 'How rows of a source became patients of the study. Key: cohort, step_number';

CREATE TABLE split (
    split      VARCHAR NOT NULL,
    patient_id VARCHAR NOT NULL,
    role       VARCHAR NOT NULL,
    fold       BIGINT
);
COMMENT ON TABLE split IS 'Frozen patient-level splits. Key: split, patient_id';
COMMENT ON COLUMN split.role IS 'train or test';
COMMENT ON COLUMN split.fold IS 'outer fold of a training patient, from 1; NULL for test patients';
