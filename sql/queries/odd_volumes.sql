-- Which MRI volumes look odd: unreadable, with missing slices, recorded in the wrong order, or unlike their cohort?
-- Unlike: a voxel spacing or brightest intensity that is less than half or more than twice the median of its
-- cohort and phase.
WITH known AS (
    SELECT
        *,
        median(spacing_z_mm) OVER same                 AS usual_spacing_z_mm,
        median(spacing_x_mm) OVER same                 AS usual_spacing_x_mm,
        median(intensity_high) OVER same               AS usual_intensity_high
    FROM volume
    WINDOW same AS (PARTITION BY cohort, phase)
),
judged AS (
    SELECT
        *,
        CASE
            WHEN status <> 'ok' THEN reason
            WHEN missing_slices > 0 THEN missing_slices || ' slices are missing'
            WHEN phase_order = 'hbp before pre' THEN 'the HBP was recorded before the PRE: are they exchanged?'
            WHEN spacing_z_mm NOT BETWEEN usual_spacing_z_mm / 2 AND usual_spacing_z_mm * 2
                THEN 'other spacing along the third axis than the cohort'
            WHEN spacing_x_mm NOT BETWEEN usual_spacing_x_mm / 2 AND usual_spacing_x_mm * 2
                THEN 'other spacing along the first axis than the cohort'
            WHEN intensity_high NOT BETWEEN usual_intensity_high / 2 AND usual_intensity_high * 2
                THEN 'other intensities than the cohort'
        END                                            AS oddity
    FROM known
)
SELECT
    image_id,
    phase,
    oddity,
    format,
    nx,
    ny,
    nz,
    round(spacing_x_mm, 3)                             AS spacing_x_mm,
    round(spacing_y_mm, 3)                             AS spacing_y_mm,
    round(spacing_z_mm, 3)                             AS spacing_z_mm,
    intensity_low,
    intensity_high,
    slices,
    missing_slices
FROM judged
WHERE oddity IS NOT NULL
ORDER BY image_id, phase;
