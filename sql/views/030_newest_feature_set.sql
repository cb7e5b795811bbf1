-- The newest version under each name; encoders of single cross-validation folds stand aside.
CREATE OR REPLACE VIEW newest_feature_set AS
SELECT *
FROM feature_set
WHERE fold IS NULL
QUALIFY row_number() OVER (PARTITION BY base ORDER BY version DESC) = 1;
COMMENT ON VIEW newest_feature_set IS 'The newest version of each feature set, without the encoders of single folds';
