"""Five questions to a study, answered with SQL, a lazy scan and a torch dataset.

    marimo edit docs/notebooks/five_questions.py -- --study demo/study     # in the browser
    python docs/notebooks/five_questions.py --study demo/study             # as a plain script

`make demo` makes the study. The numbers of a simulated study say nothing about patients.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Five questions to a study")


@app.cell
def _():
    import marimo as mo
    import polars as pl
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier
    from torch.utils.data import DataLoader

    import hccfeat

    return DataLoader, LeaveOneGroupOut, KNeighborsClassifier, cross_val_predict, hccfeat, mo, pl


@app.cell
def _(hccfeat, mo):
    study = hccfeat.open_study(mo.cli_args().get("study") or "demo/study")
    mo.stop(
        study.sql("FROM image_pps LIMIT 1").is_empty(), "No image has vectors yet: run `hccfeat extract` first."
    )
    simulated = study.sql("SELECT bool_or(simulated) AS simulated FROM cohort")["simulated"][0]
    mo.md(f"# Five questions to the study {study.config.name}{' (SIMULATED data)' if simulated else ''}")
    return (study,)


@app.cell
def _(mo):
    mo.md("""
    ## 1. Who is in the study, and how much of each cohort has vectors?

    `study.sql` runs one SELECT on the catalog, read-only, and gives a Polars frame.
    """)
    return


@app.cell
def _(mo, study):
    coverage = study.sql("""
        SELECT v.cohort, v.feature_set, v.images, v.embedded, v.excluded, v.missing,
               count(DISTINCT p.patient_id) AS patients
        FROM coverage AS v
        JOIN patient AS p ON p.cohort = v.cohort
        GROUP BY ALL
        ORDER BY v.cohort, v.feature_set
    """)
    mo.ui.table(coverage, selection=None)
    return (coverage,)


@app.cell
def _(mo):
    mo.md("""
    ## 2. How often did the tumour come back, by treatment?

    `patient_clinical` has one row per patient: treatment, clinical variables and outcomes. Missing values are NULL.
    """)
    return


@app.cell
def _(mo, study):
    recurrence = study.sql("""
        SELECT coalesce(treatment, 'not recorded') AS treatment,
               count(*) AS patients,
               count(*) FILTER (recurrence_event) AS recurrences,
               round(median(recurrence_months), 1) AS median_months_followed
        FROM patient_clinical
        WHERE recurrence_months IS NOT NULL
        GROUP BY ALL
        ORDER BY treatment
    """)
    mo.ui.table(recurrence, selection=None)
    return (recurrence,)


@app.cell
def _(mo):
    mo.md("""
    ## 3. Is the nearest image one of the same patient?

    Vectors are fixed-length arrays in the catalog, so similarity is plain SQL. If images of a patient find
    each other, the vectors hold something of the tissue, or of how it was stained.
    """)
    return


@app.cell
def _(mo, study):
    neighbours = study.sql("""
        SELECT a.image_id, b.image_id AS nearest, a.patient_id = b.patient_id AS same_patient,
               array_cosine_similarity(a.mean, b.mean) AS similarity
        FROM image_pps AS a
        JOIN image_pps AS b ON b.image_id <> a.image_id
        QUALIFY row_number() OVER (PARTITION BY a.image_id ORDER BY similarity DESC, b.image_id) = 1
        ORDER BY similarity DESC, a.image_id
    """)
    mo.ui.table(neighbours, selection=None)
    return (neighbours,)


@app.cell
def _(mo):
    mo.md("""
    ## 4. Which patches of an image are least like the rest of it?

    `study.scan("pps")` is a LazyFrame over all patches of the newest version. The condition on the image
    (or on `patient_id` or `cohort`) decides which shards are opened; no other is touched.
    """)
    return


@app.cell
def _(mo, neighbours, pl, study):
    image = neighbours["image_id"][0]
    mean = study.sql(f"SELECT mean FROM image_pps WHERE image_id = '{image}'")["mean"][0]
    unusual_patches = (
        study.scan("pps")
        .filter(pl.col("image_id") == image)
        .with_columns(
            distance=(pl.col("vector").arr.to_list() - mean.to_list())
            .list.eval(pl.element() ** 2)
            .list.sum()
            .sqrt()
        )
        .select("image_id", "x", "y", "distance")
        .sort("distance", descending=True)
        .head(5)
        .collect()
    )
    mo.ui.table(unusual_patches, selection=None)
    return (unusual_patches,)


@app.cell
def _(mo):
    mo.md("""
    ## 5. Do the vectors tell which cohort an image comes from?

    They should not: if they do, scanner or stain has left a mark that a model may mistake for biology.
    `study.dataset("pps", level="image")` is a torch dataset; each image is guessed to be
    from the cohort of the nearest image of another patient.
    """)
    return


@app.cell
def _(DataLoader, LeaveOneGroupOut, KNeighborsClassifier, cross_val_predict, mo, pl, study):
    dataset = study.dataset("pps", level="image")
    images = next(iter(DataLoader(dataset, batch_size=len(dataset))))
    guessed = cross_val_predict(
        KNeighborsClassifier(1, metric="cosine"),
        images["vector"].numpy(),
        images["cohort"],
        groups=images["patient_id"],
        cv=LeaveOneGroupOut(),
    )
    cohort_guesses = (
        pl.DataFrame({"cohort": images["cohort"], "guessed": guessed})
        .group_by("cohort")
        .agg(images=pl.len(), guessed_rightly=(pl.col("cohort") == pl.col("guessed")).mean().round(3))
        .sort("cohort")
    )
    mo.ui.table(cohort_guesses, selection=None)
    return (cohort_guesses,)


if __name__ == "__main__":
    app.run()
