-- How much of each cohort a feature set covers, among the images of its modality.
CREATE OR REPLACE VIEW coverage AS
SELECT
    i.cohort,
    f.feature_set,
    coalesce(f.modality, 'slide')                                         AS modality,
    count(*)                                                              AS images,
    count(s.image_id) FILTER (WHERE s.patches > 0)                        AS embedded,
    count(s.image_id) FILTER (WHERE s.patches = 0)                        AS excluded,
    count(e.image_id) FILTER (WHERE s.image_id IS NULL)                   AS failed,
    count(*) FILTER (WHERE s.image_id IS NULL AND e.image_id IS NULL)     AS missing,
    coalesce(sum(s.patches), 0)                                           AS patches
FROM image AS i
JOIN feature_set AS f ON coalesce(f.modality, 'slide') = coalesce(i.modality, 'slide')
LEFT JOIN shard AS s ON s.image_id = i.image_id AND s.feature_set = f.feature_set
LEFT JOIN extraction_failure AS e ON e.image_id = i.image_id AND e.feature_set = f.feature_set
GROUP BY i.cohort, f.feature_set, coalesce(f.modality, 'slide');
COMMENT ON VIEW coverage IS 'How much of each cohort each feature set covers';
COMMENT ON COLUMN coverage.modality IS 'slide or mri';
COMMENT ON COLUMN coverage.images IS 'images of the cohort of that modality';
COMMENT ON COLUMN coverage.embedded IS 'images with vectors';
COMMENT ON COLUMN coverage.excluded IS 'images without a usable patch; table shard says why';
COMMENT ON COLUMN coverage.failed IS 'images whose extraction failed; table extraction_failure says why';
COMMENT ON COLUMN coverage.missing IS 'images not extracted yet';
COMMENT ON COLUMN coverage.patches IS 'usable patches';
