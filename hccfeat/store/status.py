"""What ``hccfeat status`` shows: what is in a study, what is missing, and why."""

from pathlib import Path
from typing import Any

from hccfeat.store.catalog import asking

QUERIES = {
    "Cohorts": """
        SELECT c.cohort, c.title, c.simulated,
               (SELECT count(*) FROM patient AS p WHERE p.cohort = c.cohort) AS patients,
               count(i.image_id) FILTER (i.status = 'ok' AND coalesce(i.modality, 'slide') = 'slide') AS images,
               count(i.image_id) FILTER (i.status = 'ok' AND i.modality = 'mri') AS exams,
               count(i.image_id) FILTER (i.status <> 'ok') AS unreadable
        FROM cohort AS c LEFT JOIN image AS i ON i.cohort = c.cohort GROUP BY ALL ORDER BY c.cohort
    """,
    "Feature sets": """
        SELECT f.feature_set, coalesce(f.modality, 'slide') AS modality, f.encoder, f.dim, f.simulated,
               count(s.image_id) AS images, coalesce(sum(s.patches), 0)::BIGINT AS patches,
               count(*) FILTER (s.status = 'excluded') AS excluded
        FROM feature_set AS f LEFT JOIN shard AS s USING (feature_set) GROUP BY ALL ORDER BY f.feature_set
    """,
    "Unreadable images": """
        SELECT image_id, reason FROM image
        WHERE status <> 'ok' AND coalesce(modality, 'slide') = 'slide' ORDER BY image_id LIMIT 20
    """,
    "Unusable MRI exams": """
        SELECT i.image_id AS exam, i.reason,
               string_agg(upper(v.phase), ', ' ORDER BY v.phase) FILTER (v.status <> 'ok') AS unreadable_volumes
        FROM image AS i LEFT JOIN volume AS v USING (image_id)
        WHERE i.modality = 'mri' AND i.status <> 'ok' GROUP BY ALL ORDER BY exam LIMIT 20
    """,
    "Excluded images": """
        SELECT feature_set, image_id,
               CASE WHEN reason LIKE 'out of focus%' THEN 'out_of_focus'
                    WHEN reason LIKE 'too coarse%' THEN 'too_coarse' ELSE 'no_tissue' END AS kind, reason
        FROM shard WHERE status = 'excluded' ORDER BY feature_set, image_id LIMIT 20
    """,
    "Failures by kind": """
        SELECT feature_set, kind, count(*) AS images FROM extraction_failure GROUP BY ALL ORDER BY ALL
    """,
    "Failures": "SELECT feature_set, image_id, kind, message FROM extraction_failure ORDER BY ALL LIMIT 20",
    "Models": "SELECT model, feature_set FROM model_file ORDER BY model",
    "Newest runs": "SELECT run_id, started, seconds FROM run ORDER BY started DESC, run_id LIMIT 5",
    "Frozen": "SELECT name, cohort, split, feature_set, patients, images, created FROM frozen ORDER BY name",
    "Removed by gc": """
        SELECT kind, name, files, bytes, created FROM removal ORDER BY created DESC, kind, name LIMIT 20
    """,
}


def status(study: Path) -> dict[str, list[dict[str, Any]]]:
    """Cohorts, feature sets, what is unusable or failed, models, newest runs, freezes and removals, by title."""
    with asking(study) as ask:
        return {title: ask(text).to_dicts() for title, text in QUERIES.items()}
