-- Do scanners stain alike? Mean haematoxylin and eosin vectors by cohort, reader and resolution.
-- Unit vectors of optical density in red, green and blue; only fits that were accepted count.
SELECT
    i.cohort,
    i.reader,
    round(i.mpp, 3)                                    AS mpp,
    s.feature_set,
    count(*)                                           AS images,
    count(*) FILTER (WHERE NOT s.stain_accepted)       AS fits_not_accepted,
    round(avg(s.stain_h_r) FILTER (WHERE s.stain_accepted), 3) AS h_red,
    round(avg(s.stain_h_g) FILTER (WHERE s.stain_accepted), 3) AS h_green,
    round(avg(s.stain_h_b) FILTER (WHERE s.stain_accepted), 3) AS h_blue,
    round(avg(s.stain_e_r) FILTER (WHERE s.stain_accepted), 3) AS e_red,
    round(avg(s.stain_e_g) FILTER (WHERE s.stain_accepted), 3) AS e_green,
    round(avg(s.stain_e_b) FILTER (WHERE s.stain_accepted), 3) AS e_blue
FROM shard AS s
JOIN image AS i ON i.image_id = s.image_id
WHERE coalesce(i.modality, 'slide') = 'slide'
GROUP BY ALL
ORDER BY ALL;
