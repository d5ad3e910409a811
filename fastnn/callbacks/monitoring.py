"""Whether a value in the logs is better when it is larger: asked of the metric, else read from its name."""

import functools
import re
from collections.abc import Iterable
from typing import Any

_WORDS = {
    "max": "acc accuracy accuracies ap auc auprc auroc aucpr aucroc bleu correct correlation corrcoef d2 dice "
    "explained f1 f2 fbeta fmeasure fscore gini iou jaccard kappa likelihood map matthews mcc miou ndcg pearson prauc "
    "precision psnr r2 recall rocauc rouge score scores sensitivity spearman specificity ssim top",
    "min": "bce bouldin brier cce cer crossentropy crps deviance divergence err error errors fid hinge huber kld "
    "logcosh logloss loss losses mae mape medae misclassified mse msle nll nrmse perplexity pinball poisson rmse rmsle "
    "smape wape wer",
    # Beside these no word says anything: an accuracy gap, F1 of the negative class, spread or time of a score
    "unclear": "change count decrease delta diff difference drop free gap improvement increase inverse less minus n "
    "negative no non not num number rank ratio reduction seconds std stddev stdev time times variance weight without "
    "worst",
}
_KINDS = {word: kind for kind, words in _WORDS.items() for word in words.split()}
_COMPOUNDS = {
    "cross_entropy": "crossentropy", "explained_variance": "explained", "log_cosh": "logcosh", "r_squared": "r2",
}  # fmt: skip


def smaller_is_better(monitor: str, mode: str, metrics: Iterable[Any], who: str) -> bool:
    """Return whether a monitored value improves by falling.

    The mode "auto" asks the metric of that name among those of the model; a value that a callback put into the logs has
    none, and the words of its name decide.

    Parameters
    ----------
    monitor : str
        Name in the logs.
    mode : {"auto", "min", "max"}
    metrics : iterable of Metric
        Those of the model.
    who : str
        Who asks, for the message.

    Raises
    ------
    ValueError
        For "auto" if neither tells, or for another mode.
    """
    if check_mode(mode) != "auto":
        return mode == "min"
    name = monitor.removeprefix("val_")
    known = [metric.direction for metric in metrics if metric.name == name]
    direction = known[0] if known else direction_of_name(name)
    if direction is None:
        raise ValueError(
            f'{who} with mode="auto" cannot tell whether a larger or a smaller {monitor!r} is better: it is no metric '
            'of the model, and its name does not say; give mode="max" or mode="min"'
        )
    return direction == "min"


def check_mode(mode: str) -> str:
    """Return the mode of a monitored value, or raise ValueError."""
    if mode not in ("auto", "min", "max"):
        raise ValueError(f'mode must be "auto", "min" or "max"; got {mode!r}')
    return mode


def check_monitor(monitor: str, before: str) -> None:
    """Raise ValueError if what a callback knows is of another value than the one it monitors now."""
    if monitor != before:
        raise ValueError(f"its monitor was {before!r}, is {monitor!r}")


@functools.cache
def direction_of_name(name: str) -> str | None:
    """Return "min" or "max" if the words of a name agree on what is better, else None.

    ``my_f1_macro`` and ``ROC_AUC`` are to be large, ``error_rate`` and ``dice_loss`` small, and scikit-learn's
    ``neg_log_loss`` large. Of ``brier_score`` and ``accuracy_gap`` the words disagree.
    """
    words = _words(name)
    turned = words[:1] == ["neg"]
    kinds = {kind for word in words[turned:] if (kind := _kind(word))}
    if words and words[-1] in ("loss", "error") and "unclear" not in kinds:
        kinds = {"min"}  # of whatever it is a loss
    if turned and "min" in kinds:
        kinds = kinds - {"min"} | {"max"}
    elif turned or words[:1] == ["1"]:  # of an accuracy, say
        return None
    return kinds.pop() if len(kinds) == 1 and "unclear" not in kinds else None


def _words(name: str) -> list[str]:
    """Return the words of a name in lower case: of ``valF1``, ``val_f1`` and ``val f1`` the same."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    for parts, word in _COMPOUNDS.items():
        parted = parted.replace(parts, word)
    return [word for word in re.split(r"[^a-z0-9]+", parted) if word]


def _kind(word: str) -> str | None:
    """Return what a word says of the direction: "min", "max", "unclear", or nothing."""
    known = (_KINDS.get(form) for form in (word, word.rstrip("0123456789"), word.removesuffix("score")))
    return next((kind for kind in known if kind), None)
