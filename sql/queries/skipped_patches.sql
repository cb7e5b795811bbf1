-- How many candidate patches became no vector, and why, by cohort and feature set?
-- Patches that are not sampled are usable ones beyond the recipe's number per image.
SELECT
    split_part(image_id, '/', 1)                       AS cohort,
    feature_set,
    sum(s.patches)                                     AS usable,
    sum(skipped_background)                            AS background,
    sum(skipped_read_error)                            AS read_error,
    sum(skipped_blank)                                 AS blank,
    sum(skipped_blurred)                               AS blurred,
    sum(skipped_not_sampled)                           AS not_sampled,
    count(*) FILTER (WHERE s.status = 'excluded')      AS excluded_images
FROM shard AS s
JOIN feature_set AS f USING (feature_set)
WHERE coalesce(f.modality, 'slide') = 'slide'
GROUP BY ALL
ORDER BY ALL;
