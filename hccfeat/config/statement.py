"""What only the authors know: the section ``[statement]`` of the study file, for the reporting guidelines."""

from pydantic import Field

from hccfeat.config.files import Frozen


class StatementConfig(Frozen):
    """Free text for the guidelines' items that no number answers; an empty one is shown as not reported."""

    abstract: str = Field("", description="a structured abstract")
    rationale: str = Field("", description="clinical context, and why this model next to existing ones")
    objectives: str = Field(
        "", description="questions and hypotheses laid down beforehand; development, evaluation or both"
    )
    intended_use: str = Field("", description="for which patients, by whom and at which point of care")
    inequalities: str = Field("", description="known inequalities of health between groups of patients")
    design: str = Field("", description="prospective or retrospective, how patients were chosen, any matching")
    data_source: str = Field("", description="where the data come from, why these, and whom they stand for")
    dates: str = Field("", description="first and last patient, end of follow-up")
    setting: str = Field("", description="kind, number and place of the centres")
    eligibility: str = Field("", description="who could enter, who could not")
    treatments: str = Field("", description="which treatments were given and who decided about them")
    data_checks: str = Field(
        "", description="checks and preparation of the data before ingest, alike for all groups or not"
    )
    outcome_assessment: str = Field(
        "", description="how and when the outcome was determined, alike for all groups or not"
    )
    outcome_assessors: str = Field("", description="who judged the outcome, where that takes judgement")
    outcome_blinding: str = Field("", description="whether they knew the predictors")
    predictor_choice: str = Field("", description="why these predictors")
    predictor_measurement: str = Field(
        "", description="how and when predictors were measured, blind to the outcome or not"
    )
    predictor_assessors: str = Field("", description="who judged predictors, where that takes judgement")
    specimens: str = Field("", description="biological material, its preservation and storage")
    assay: str = Field("", description="staining, scanner or MRI protocol, and their quality control")
    sample_size: str = Field("", description="why so many patients")
    fairness: str = Field("", description="what was done so that no group of patients is served worse")
    evaluation_differences: str = Field(
        "", description="how patients who judge differ from those who train: care, entry, outcome"
    )
    ethics: str = Field("", description="committee, approval, and consent or its waiver")
    funding: str = Field("", description="who paid, and what they decided")
    conflicts: str = Field("", description="conflicts of interest of every author")
    protocol: str = Field("", description="where the protocol is, or that there is none")
    registration: str = Field("", description="register and number, or that the study is not registered")
    data_availability: str = Field("", description="who may have the data, and how")
    code_availability: str = Field("", description="where the analysis code is")
    model_availability: str = Field("", description="how others get and may use the fitted model")
    patient_involvement: str = Field("", description="part that patients and public took, or none")
    interpretation: str = Field("", description="what the results mean next to earlier studies, also for fairness")
    limitations: str = Field("", description="weaknesses, and what they do to bias, uncertainty and transfer")
    input_handling: str = Field("", description="what to do in practice with poor or missing input")
    user_skills: str = Field("", description="what users must do and know")
    next_steps: str = Field("", description="what should be studied next")
    overall_effect: str = Field("", description="treatment: what is known of its mean effect, from which trials")
    harms: str = Field("", description="treatment: its harms and burden, by risk where known")
    effect_modifiers: str = Field(
        "", description="treatment: variables believed to change its effect, and on what evidence"
    )
