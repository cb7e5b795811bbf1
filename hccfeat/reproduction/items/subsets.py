"""Items about the denoised subsets and the models trained on them (P1, Fig 2A-C, Table 2, S4, Table S1)."""

from hccfeat.reproduction.blocks import Item
from hccfeat.reproduction.items.subset_choice import optimal_subset
from hccfeat.reproduction.items.subset_curves import against_baselines, generalisation, softmax_ablation
from hccfeat.reproduction.items.subset_models import ablations, all_models
from hccfeat.reproduction.items.subset_tables import denoised_labels, subset_statistics

ITEMS = (
    Item(5, "Fig 1, DRL", "Denoised recurrence labels: the six subsets", denoised_labels),
    Item(6, "Fig 2A", "CNN-SASM against ResNet18, DenseNet121 and Swin", against_baselines),
    Item(7, "Fig 2B-C", "Generalisation by subset, patch and image level", generalisation),
    Item(13, "Table 2", "Every model on every subset", all_models),
    Item(14, "Results, ablation", "What each part of the model adds", ablations),
    Item(15, "Results, subset", "Which subset to train on", optimal_subset),
    Item(37, "S4", "Softmax ablation and accuracy by subset", softmax_ablation),
    Item(44, "Table S1", "Sizes of the subsets", subset_statistics),
)
