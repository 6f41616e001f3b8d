"""The fixed texts of the page in English. The keys are those of ``chinese.py``."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, str] = {
    # Title and verdict
    "title": "Why: {name}",
    "verdict": "The model reads this as {label}, with a confidence of {percent}.",
    "verdict_uncertain": "The model does not commit itself: {label} is its best guess, with a confidence of {percent}.",
    "verdict_threshold": "It gives a label from {threshold} on, to keep its error rate at {error} or less.",
    "verdict_no_threshold": (
        "It gives no label from these modalities alone, because no threshold keeps its error rate at {error} or less."
    ),
    "verdict_dimensions": "The model estimates {values}.",
    "verdict_several": "The model gives several labels here: {labels}.",
    "verdict_many": "{count} spans were read. Most often the model reads {label} ({share} of {count}).",
    "verdict_many_dimensions": "{count} spans were read. {name} is {low} at its lowest and {high} at its highest.",
    "verdict_uncertain_many": "In {count} of them it does not commit itself to a label.",
    "verdict_strongest": "It is most certain of {label} at {time}, with a confidence of {percent}.",
    "basis": "It rests mostly on {modality} ({points}).",
    "basis_also": "In the same direction: {list}.",
    "basis_against": "Against it: {list}.",
    "basis_none": "No modality moved it by a percentage point from the usual share of {label} in training.",
    "not_read": "Not read: {modality} ({reason}).",
    "points": "{value} points",
    "list_separator": ", ",
    "colon": ": ",
    "uncertain": "uncertain",
    "sentence_separator": " ",
    "terminal_more": "--out why.html writes the page, --json the whole explanation",
    "full_stop": ".",
    "warn_synthetic": (
        "This model was trained on synthetic data. What it says about real people means nothing; "
        "this page only shows how an explanation looks."
    ),
    "warn_composite": (
        "This model was trained on a composite corpus: words, voices and faces of different people, paired by label. "
        "How it combines the modalities says nothing about real people."
    ),
    "warn_intended": (
        "A prediction of displayed emotion is not a diagnosis, and not a fact about what someone feels. Do not base a "
        "decision about a person on it."
    ),
    # Timeline
    "timeline": "Timeline",
    "timeline_alt": "Timeline of {count} spans over {duration}. The table below has the same content.",
    "timeline_help": "Height shows confidence. A triangle marks spans that are explained below.",
    "timeline_table": "All spans as a table",
    "explained_spans": "Explained on this page",
    "not_explained": "{count} of {total} spans have no evidence on this page, only their prediction.",
    "time": "time",
    "label": "label",
    "confidence": "confidence",
    "words_column": "words",
    "skipped": "not read",
    "chosen_all": "",
    "chosen_telling": "explained because its label is far from what is usual in training",
    "chosen_conflict": "explained because its modalities disagree most",
    "chosen_uncertain": "explained because the model is most undecided here",
    "whole_input": "The whole input",
    "span": "{start} to {end}",
    # Probabilities and modalities
    "probabilities": "How probable is each label?",
    "probability": "probability",
    "modalities": "Which modality decided?",
    "modalities_help": (
        "Percentage points that each modality adds to or takes from the probability of {label}. They start at "
        "{baseline}, its share in training, and lead to {probability} (exact Shapley values over all sets of "
        "modalities)."
    ),
    "modalities_dimensions_help": (
        "What each modality adds to or takes from the estimate, starting at its mean in training (exact Shapley "
        "values over all sets of modalities)."
    ),
    "contribution": "contribution",
    "modality": "modality",
    "alone": "alone it says",
    "interaction_more": "{first} and {second} together say more than each for itself ({points}).",
    "interaction_less": "{first} and {second} partly repeat each other ({points}).",
    "interaction_none": "The modalities add up: no pair changes the probability by a point beyond its parts.",
    "additive_same": "Without any interaction between modalities the label would be the same.",
    "additive_other": "Without any interaction between modalities the label would be {label}.",
    "coalitions": "Probability of {label} from every set of modalities",
    "coalition": "given only",
    "nothing": "nothing",
    "conflict": "{first} and {second} contradict each other: {first} says {first_says}, {second} says {second_says}.",
    "conflict_rate": "Contradiction score {score}; {rate} of ordinary clips reach it (false alarms).",
    "no_conflict": "{first} and {second} do not clearly contradict each other (score {score}).",
    # Evidence
    "evidence_text": "In the words",
    "evidence_speech": "In the voice",
    "evidence_face": "In the face",
    "evidence_help": (
        "Each part is scored by what it adds to the log-odds of {label} (method: {method}; a removed part is replaced "
        "with {baseline}). The points of a modality start at the share in training instead, so the two can differ in "
        "sign."
    ),
    "evidence_help_dimension": (
        "Each part is scored by what it adds to the estimate of {label} (method: {method}; a removed part is replaced "
        "with {baseline})."
    ),
    "strongest_for": "Strongest for {label}",
    "strongest_against": "Strongest against {label}",
    "none_for": "Nothing speaks clearly for {label}.",
    "none_clear": "No part counts clearly for or against it.",
    "unit_word": "words",
    "unit_character": "characters",
    "unit_time": "spans of time",
    "unit_cue": "cues of the voice",
    "unit_frame": "video frames",
    "unit_region": "regions of the face",
    "unit_column": "measured features",
    "unit_crop": "map of the face",
    "unit_spectrogram": "map of the spectrogram",
    "part": "part",
    "score": "score",
    "measured": "measured",
    "all_parts": "Table of all {count} ({unit})",
    "more_parts": "{count} more in the table below.",
    "voice_alt": (
        "Pitch and level of the voice from {start} to {end}. Pitch: median {pitch}, from {low} to {high}. "
        "Marked spans: {marked}."
    ),
    "voice_unvoiced": "Level of the voice from {start} to {end}; no pitch was found. Marked spans: {marked}.",
    "pitch": "pitch (Hz)",
    "level": "level (dBFS)",
    "spectrogram": "Spectrogram",
    "spectrogram_alt": "Spectrogram from {low} to {high} Hz; strongest cell {side} at {time}, {frequency} Hz.",
    "crop_alt": "Face at {time}; the strongest cell {side} is in the {place}.",
    "place_top": "top", "place_middle": "middle", "place_bottom": "bottom",
    "place_left": "left", "place_centre": "centre", "place_right": "right",
    "place": "{row} {column}",
    "faces": "Faces, with the regions that matter",
    "above": "{deviation} sd above the reference",
    "below": "{deviation} sd below the reference",
    "counterfactual": "What would have changed the label?",
    "counterfactual_changed": (
        "Changed as follows, the label becomes {label}: {change}. The probability of {explained} goes from {before} "
        "to {after}. The changed input was predicted to check this."
    ),
    "quoted": "'{name}'",
    "change_removed": "without {parts}",
    "change_more": "{part} more by {amount}",
    "change_less": "{part} less by {amount}",
    "counterfactual_none": "None of the {tried} single changes that were tried changes the label.",
    "trust_passed": "passed its checks on this model",
    "trust_passed_as": "checked as {unit}, which passed on this model; the cells of the map were not checked",
    "trust_failed": "failed its checks on this model",
    "trust_not_measured": "not checked on this model",
    "hidden": "Not shown, because it failed its checks on this model: {unit} ({reason}).",
    "limits": "What this page cannot say here",
    # Rules
    "rules": "What do simple rules say?",
    "rules_help": (
        "Hand-written rules (lexicon, tone of voice, facial action units) read the same input without any training. "
        "They are transparent, and less accurate than a trained model."
    ),
    "rules_agree": "{modality}: the rules agree ({label}).",
    "rules_disagree": "{modality}: the rules disagree. They say {label}, the model says {model}.",
    "rules_silent": "{modality}: no rule applies.",
    "rule": "rule",
    "rule_part": "refers to",
    "rule_effect": "effect",
    "rule_source": "source",
    "rule_table": "The rules that applied",
    # Faithfulness
    "faithfulness": "How far can these explanations be trusted?",
    "faithfulness_none": (
        "Not measured on this model yet, so it is unknown whether the marked parts are those that the model uses. "
        "This command measures it:"
    ),
    "faithfulness_some": (
        "Measured on {clips} clips of the part {part} of {corpus}. A kind of evidence passes if removing what it marks "
        "lowers the score faster than removing random parts, and if it changes when the weights of the model are "
        "shuffled."
    ),
    "faithfulness_table": "Measured faithfulness of each kind of evidence",
    "evidence": "evidence",
    "result": "result",
    "deletion": "deletion against random (95% interval)",
    "magnitude": "deletion against the largest parts",
    "shuffled": "similarity to shuffled weights",
    "stability": "stability under noise",
    "speakers_clips": "clips (speakers)",
    "claims": (
        "When the modality with the largest contribution is removed, the label changes in {credited} of clips; when a "
        "random modality is removed, in {random} (difference {low} to {high})."
    ),
    # The model
    "model": "The model and its limits",
    "model_name": "name",
    "model_labels": "labels it can give",
    "model_dimensions": "dimensions it estimates",
    "model_modalities": "modalities it reads",
    "model_trained": "trained on",
    "trained_real": "recordings of people",
    "trained_composite": "a composite corpus (different people paired by label)",
    "trained_synthetic": "synthetic data",
    "model_validation": "on validation (people not in training)",
    "model_labels_only": "An emotion that is not in this list cannot be found, only the nearest label.",
    "model_languages": "languages",
    "languages_unknown": "not recorded with the model; ask whoever trained it",
    "model_abstains": "abstains",
    "abstains_no": "no: it always gives a label",
    "abstains_yes": "yes, to keep its error rate at {error} or less",
    "notes": "Remarks",
    "reading": "How to read this page",
    "reading_confidence": (
        "Confidence is calibrated on validation: of clips with a confidence of 70%, about 70% have that label there. "
        "On other people, microphones or languages it can be wrong."
    ),
    "reading_contribution": (
        "Contributions say what this model used, not what the person felt. They start at the share of the label in "
        "training and sum to the probability."
    ),
    "reading_marks": (
        "Blue, a plus and a solid underline: the part speaks for the label. Orange, a minus and a dashed underline: "
        "against it. The stronger the colour, the larger the score within this figure. Where all scores are small, all "
        "colours are pale."
    ),
    "reading_trust": (
        "Evidence is only as good as its checks. Without measured faithfulness, take the marks as a hint."
    ),
    "reading_counterfactual": (
        "A counterfactual is the smallest single change among those tried that changes the label. Others may exist."
    ),
    "reading_print": (
        "The page loads nothing from elsewhere and needs "
        "no script. It can be saved, printed and archived."
    ),
    "made": "Made by multiemo {version}. {name}",
    # Terminal
    # Units of language
    "the_text": "the words", "the_speech": "the voice", "the_face": "the face",
    "text": "words", "speech": "voice", "face": "face",
}  # fmt: skip

#: Names of labels, dimensions, cues and methods: in English they stay as the model and the package write them.
NAMES: Mapping[str, str] = {}
