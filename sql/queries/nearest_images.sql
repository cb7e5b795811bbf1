-- Which ten images are nearest to a given image, by cosine similarity of their mean vectors?
-- The given image is the first one; put another id into the first lines.
WITH given AS (
    SELECT image_id, patient_id, mean
    FROM image_pps
    ORDER BY image_id
    LIMIT 1
)
SELECT
    g.image_id                                         AS given_image,
    i.image_id,
    i.patient_id = g.patient_id                        AS same_patient,
    array_cosine_similarity(i.mean, g.mean)            AS cosine_similarity
FROM image_pps AS i
CROSS JOIN given AS g
WHERE i.image_id <> g.image_id
ORDER BY cosine_similarity DESC, i.image_id
LIMIT 10;
