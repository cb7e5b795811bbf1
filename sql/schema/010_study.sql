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
COMMENT ON COLUMN cohort.cohort IS 'name of the cohort, first part of every id';
COMMENT ON COLUMN cohort.title IS 'what people call it';
COMMENT ON COLUMN cohort.format IS 'plain, gdc or tcga-cdr';
COMMENT ON COLUMN cohort.simulated IS 'true for data made by hccfeat simulate';
COMMENT ON COLUMN cohort.source_file IS 'clinical table that was ingested';
COMMENT ON COLUMN cohort.source_sha256 IS 'SHA-256 of that file';
COMMENT ON COLUMN cohort.images IS 'slides and images found for it';
COMMENT ON COLUMN cohort.note IS 'free text of its description file';

CREATE TABLE patient (
    patient_id VARCHAR NOT NULL,
    cohort     VARCHAR NOT NULL,
    treatment  VARCHAR
);
COMMENT ON TABLE patient IS 'One row per patient. Key: patient_id';
COMMENT ON COLUMN patient.patient_id IS '<cohort>/<id in the clinical table>';
COMMENT ON COLUMN patient.cohort IS 'cohort of the patient';
COMMENT ON COLUMN patient.treatment IS 'adjuvant treatment: none or sorafenib; NULL = not recorded, treated like none';

-- One further column per clinical variable is added by the ingest records (DOUBLE, BOOLEAN, BIGINT or VARCHAR).
CREATE TABLE clinical (
    patient_id VARCHAR NOT NULL
);
COMMENT ON TABLE clinical IS 'Clinical variables, one column each; missing is NULL, never NaN. Key: patient_id';
COMMENT ON COLUMN clinical.patient_id IS 'the patient: a row of table patient';

CREATE TABLE outcome (
    patient_id VARCHAR NOT NULL,
    outcome    VARCHAR NOT NULL,
    months     DOUBLE NOT NULL,
    event      BOOLEAN NOT NULL
);
COMMENT ON TABLE outcome IS 'Survival outcomes, long. Key: patient_id, outcome';
COMMENT ON COLUMN outcome.patient_id IS 'the patient: a row of table patient';
COMMENT ON COLUMN outcome.outcome IS 'recurrence, os, dss, dfi or pfi';
COMMENT ON COLUMN outcome.months IS 'time to event or censoring, months of 365.25 / 12 days';
COMMENT ON COLUMN outcome.event IS 'true = it happened, false = censored then';

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
    reason       VARCHAR,
    modality     VARCHAR
);
COMMENT ON TABLE image IS 'Slides, images and MRI exams that were found. Key: image_id';
COMMENT ON COLUMN image.image_id IS '<cohort>/<file stem>; of an MRI exam <cohort>/<id in the clinical table>-mri';
COMMENT ON COLUMN image.patient_id IS 'the patient: a row of table patient';
COMMENT ON COLUMN image.cohort IS 'cohort of the image';
COMMENT ON COLUMN image.path IS 'NULL for an MRI exam: table volume has its paths';
COMMENT ON COLUMN image.bytes IS 'size of the file';
COMMENT ON COLUMN image.mtime_ns IS 'modification time of the file, ns since 1970';
COMMENT ON COLUMN image.quick_sha256 IS 'hash of size, first and last MiB of the file; of an exam, of its volumes'' hashes';
COMMENT ON COLUMN image.reader IS 'library that opens the file';
COMMENT ON COLUMN image.width IS 'pixels of level 0';
COMMENT ON COLUMN image.height IS 'pixels of level 0';
COMMENT ON COLUMN image.mpp IS 'micrometres per pixel of level 0';
COMMENT ON COLUMN image.mpp_source IS 'where mpp comes from: the file, the manifest or the command';
COMMENT ON COLUMN image.status IS 'ok, or the kind of failure; reason says more. An exam is ok if both of its phases are';
COMMENT ON COLUMN image.reason IS 'what is wrong with the image and what to do; empty if it is ok';
COMMENT ON COLUMN image.modality IS 'slide or mri; NULL in records of older versions means slide';

CREATE TABLE volume (
    image_id       VARCHAR NOT NULL,
    cohort         VARCHAR NOT NULL,
    phase          VARCHAR NOT NULL,
    path           VARCHAR,
    lesion_mask    VARCHAR,
    lesion_box     VARCHAR,
    liver_mask     VARCHAR,
    liver_label    BIGINT,
    format         VARCHAR,
    bytes          BIGINT,
    mtime_ns       BIGINT,
    quick_sha256   VARCHAR,
    nx             BIGINT,
    ny             BIGINT,
    nz             BIGINT,
    spacing_x_mm   DOUBLE,
    spacing_y_mm   DOUBLE,
    spacing_z_mm   DOUBLE,
    intensity_low  DOUBLE,
    intensity_high DOUBLE,
    slices         BIGINT,
    missing_slices BIGINT,
    phase_order    VARCHAR,
    status         VARCHAR,
    reason         VARCHAR
);
COMMENT ON TABLE volume IS 'Volumes of MRI exams with what reading them once told. Key: image_id, phase';
COMMENT ON COLUMN volume.image_id IS 'the exam: a row of table image with modality mri';
COMMENT ON COLUMN volume.cohort IS 'cohort of the exam';
COMMENT ON COLUMN volume.phase IS 'pre (before contrast) or hbp (hepatobiliary)';
COMMENT ON COLUMN volume.path IS 'file, or folder of DICOM slices (whose names are not stored)';
COMMENT ON COLUMN volume.lesion_mask IS 'file of a mask of the lesion on the grid of the volume';
COMMENT ON COLUMN volume.lesion_box IS 'x0 y0 z0 x1 y1 z1, voxels of the file';
COMMENT ON COLUMN volume.liver_mask IS 'file of a mask of the liver on the grid of the volume';
COMMENT ON COLUMN volume.liver_label IS 'value of the liver in that mask; NULL = every value above 0.5';
COMMENT ON COLUMN volume.format IS 'nifti, dicom series or dicom enhanced';
COMMENT ON COLUMN volume.bytes IS 'of all files of the volume and its masks';
COMMENT ON COLUMN volume.mtime_ns IS 'newest modification time of these files, ns since 1970';
COMMENT ON COLUMN volume.quick_sha256 IS 'hash of the files of the volume and its masks (sizes, first and last MiB), box and label';
COMMENT ON COLUMN volume.nx IS 'voxels along the first axis of the file';
COMMENT ON COLUMN volume.ny IS 'voxels along the second axis of the file';
COMMENT ON COLUMN volume.nz IS 'voxels along the third axis of the file';
COMMENT ON COLUMN volume.spacing_x_mm IS 'millimetres per voxel along the first axis';
COMMENT ON COLUMN volume.spacing_y_mm IS 'millimetres per voxel along the second axis';
COMMENT ON COLUMN volume.spacing_z_mm IS 'millimetres per voxel along the third axis';
COMMENT ON COLUMN volume.intensity_low IS '1st percentile of the voxels that are not 0';
COMMENT ON COLUMN volume.intensity_high IS '99th percentile of the voxels that are not 0';
COMMENT ON COLUMN volume.slices IS 'slices found';
COMMENT ON COLUMN volume.missing_slices IS 'slices that are missing between the first and the last';
COMMENT ON COLUMN volume.phase_order IS 'of the exam: pre before hbp, hbp before pre, or not recorded';
COMMENT ON COLUMN volume.status IS 'ok, or the kind of failure';
COMMENT ON COLUMN volume.reason IS 'what is wrong with the volume and what to do; empty if it is ok';

CREATE TABLE rejected_row (
    cohort      VARCHAR NOT NULL,
    source_file VARCHAR,
    row_number  BIGINT,
    column_name VARCHAR,
    reason      VARCHAR
);
COMMENT ON TABLE rejected_row IS 'Values and rows of the clinical tables that were refused, without the values';
COMMENT ON COLUMN rejected_row.cohort IS 'cohort of the table';
COMMENT ON COLUMN rejected_row.source_file IS 'clinical table';
COMMENT ON COLUMN rejected_row.row_number IS 'row of that file';
COMMENT ON COLUMN rejected_row.column_name IS 'column whose value was refused; empty = the whole row';
COMMENT ON COLUMN rejected_row.reason IS 'why it was refused';

CREATE TABLE attrition (
    cohort      VARCHAR NOT NULL,
    step_number BIGINT NOT NULL,
    step        VARCHAR,
    n           BIGINT,
    excluded    BIGINT,
    reason      VARCHAR
);
COMMENT ON TABLE attrition IS 'How rows of a source became patients of the study. Key: cohort, step_number';
COMMENT ON COLUMN attrition.cohort IS 'cohort of the table';
COMMENT ON COLUMN attrition.step_number IS 'order of the steps';
COMMENT ON COLUMN attrition.step IS 'what was done';
COMMENT ON COLUMN attrition.n IS 'rows or patients left after the step';
COMMENT ON COLUMN attrition.excluded IS 'rows or patients that the step took away';
COMMENT ON COLUMN attrition.reason IS 'why';

CREATE TABLE split (
    split      VARCHAR NOT NULL,
    patient_id VARCHAR NOT NULL,
    role       VARCHAR NOT NULL,
    fold       BIGINT
);
COMMENT ON TABLE split IS 'Frozen patient-level splits. Key: split, patient_id';
COMMENT ON COLUMN split.split IS 'name of the split';
COMMENT ON COLUMN split.patient_id IS 'the patient: a row of table patient';
COMMENT ON COLUMN split.role IS 'train or test';
COMMENT ON COLUMN split.fold IS 'outer fold of a training patient, from 1; NULL for test patients';
