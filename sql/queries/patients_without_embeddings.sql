-- Which patients have no embedding of their slides in the newest feature set, and why?
SELECT
    p.patient_id,
    count(i.image_id)                                  AS images,
    CASE
        WHEN count(i.image_id) = 0 THEN 'no image'
        WHEN count(e.image_id) > 0 THEN 'extraction failed: ' || string_agg(DISTINCT e.kind, ', ' ORDER BY e.kind)
        WHEN count(s.image_id) FILTER (WHERE s.patches = 0) > 0
            THEN 'image excluded: ' || coalesce(string_agg(DISTINCT s.reason, ', ' ORDER BY s.reason), 'no reason given')
        WHEN count(i.image_id) FILTER (WHERE i.status = 'ok') = 0
            THEN 'image unusable: ' || string_agg(DISTINCT i.status, ', ' ORDER BY i.status)
        ELSE 'not extracted yet'
    END                                                AS reason
FROM patient AS p
LEFT JOIN image AS i ON i.patient_id = p.patient_id AND coalesce(i.modality, 'slide') = 'slide'
LEFT JOIN newest_feature_set AS f ON f.base = 'pps'
LEFT JOIN shard AS s ON s.image_id = i.image_id AND s.feature_set = f.feature_set
LEFT JOIN extraction_failure AS e ON e.image_id = i.image_id AND e.feature_set = f.feature_set
WHERE p.patient_id NOT IN (SELECT patient_id FROM patient_pps)
GROUP BY p.patient_id
ORDER BY p.patient_id;
