from dataclasses import replace

from hccfeat.report.methods import encoder_text, methods_text
from tests.report.sample import clinical_report, full_report


def test_paragraphs_carry_settings_versions_and_methods() -> None:
    text = "\n".join(methods_text(full_report()))
    for words in (
        "All data were simulated",
        "feature set demo-1 (encoder cnn_sasm, weights SHA-256 9f2c9f2c9f2c9f2c). 182 patients trained the encoder",
        "Recurrence within 1 year (1y, horizon 12 months)",
        "PPS-MLP (prognostic network on image PPS, mean over images, fitted on 182 patients)",
        "AUROC, 95 % interval of DeLong, patient level",
        "AUPR and C-index, 95 % percentile bootstrap over patients, 1000 resamples",
        "Accuracy, Precision and Recall, 95 % interval of Wilson",
        "ties were handled by the Efron method",
        "analysis.threshold = 0.5",
        "Software: hccfeat 0.1.0, python 3.11.9",
    ):
        assert words in text, words


def test_nothing_is_claimed_that_is_not_known() -> None:
    report = replace(clinical_report(), settings={}, versions={}, endpoints=[])
    text = "\n".join(methods_text(report))
    assert "Cox" not in text
    assert "Software" not in text
    assert "No image features were used" in text


def test_who_trained_the_encoder() -> None:
    assert encoder_text({"patients_trained": 0}).startswith("No patient of this study")
    facts = {"patients_trained": 10, "patients_stopped": 1, "patients_selected": 0}
    assert encoder_text(facts).startswith("10 patients trained and 1 patient stopped the encoder")
    assert encoder_text(None) == encoder_text({"name": "x"}) == ""


def test_a_model_is_described_by_its_own_part_of_the_method() -> None:
    report = clinical_report()
    method = (
        "AUROC; 95 % interval of DeLong, patient level; unpenalised logistic regression on 6 raw indicators, "
        "fitted on 227 complete cases (0 labelled patients lack an indicator); 3 of 73 patients lack an indicator"
    )
    report.endpoints[0].metrics = [replace(report.endpoints[0].metrics[0], method=method)]
    text = "\n".join(methods_text(report))
    described = "unpenalised logistic regression on 6 raw indicators, fitted on 227 complete cases"
    assert f"Clinical logistic ({described} (0 labelled patients lack an indicator))." in text
