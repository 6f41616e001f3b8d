"""The training settings that each encoder recommends for its own stage, as the configs in ``configs/`` use them.

A config that leaves a key of ``training`` out takes it from here (:mod:`multiemo.config.recommended`). Of several
recipes of an encoder, the last one that fits its options applies. Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from multiemo.recipe import RecipeSettings, TrainingRecipe

#: Nothing recommended: the defaults of ``training``, for a head over frozen layers and for adapters.
_DEFAULTS = RecipeSettings()

#: RAVDESS, folds by actor (configs/ravdess_av.yaml).
_SPEECH_PROSODY = RecipeSettings(
    epochs=40, lr=1.5e-3, batch_size=16, warmup=0.15, clip_norm=5.0, weight_decay=0.05, class_weights=1.0,
    label_smoothing=0.1, mixup=0.8, ema=0.995, select="last",
)  # fmt: skip

#: RAVDESS with OpenFace action units (configs/ravdess_av.yaml).
_FEATURES = RecipeSettings(
    epochs=40, lr=3.0e-3, batch_size=64, weight_decay=0.05, class_weights=1.0, label_smoothing=0.1, select="last"
)

#: FER2013 from scratch (configs/fer2013_face.yaml).
_FACE_FROM_SCRATCH = RecipeSettings(
    epochs=60, lr=2.0e-3, batch_size=64, weight_decay=0.05, label_smoothing=0.1, ema=0.998, patience=60
)
_FACE_PRETRAINED = RecipeSettings(
    epochs=20, lr=1.0e-3, batch_size=32, branch_lr=1.0e-4, weight_decay=0.05, label_smoothing=0.1
)

#: EmotionTalk, bags of n-grams alone (configs/emotiontalk_text.yaml).
_TEXT_BAGS = RecipeSettings(epochs=8, lr=1.0e-3, batch_size=64, weight_decay=0.0, ema=0.995, patience=8)

#: MELD (configs/meld_text.yaml).
_TEXT_PRETRAINED = RecipeSettings(epochs=3, lr=1.0e-3, batch_size=32, branch_lr=5.0e-5)

#: Fine-tuning a model of the wav2vec 2.0 family.
_SPEECH_PRETRAINED = RecipeSettings(epochs=20, lr=1.0e-3, batch_size=32, branch_lr=2.0e-5)

#: RAVDESS, folds by actor (configs/ravdess_whisper.yaml).
_SPEECH_FROZEN = RecipeSettings(
    epochs=30, lr=1.0e-3, batch_size=16, weight_decay=0.05, class_weights=1.0, label_smoothing=0.1, mixup=0.2,
    ema=0.99, select="last",
)  # fmt: skip

#: {encoder: its recipes}.
RECIPES: dict[str, Sequence[TrainingRecipe]] = {
    "speech_prosody": (TrainingRecipe(_SPEECH_PROSODY),),
    "features": (TrainingRecipe(_FEATURES),),
    "face_timm": (
        TrainingRecipe(_FACE_FROM_SCRATCH),
        TrainingRecipe(_FACE_PRETRAINED, when={"pretrained": True}),
        TrainingRecipe(_FACE_PRETRAINED, when={"checkpoint": True}),
        TrainingRecipe(_DEFAULTS, when={"freeze": "backbone"}),
        TrainingRecipe(_DEFAULTS, when={"lora": True}),
    ),
    "text_transformer": (TrainingRecipe(_TEXT_BAGS, when={"layers": 0}),),
    "text_pretrained": (
        TrainingRecipe(_TEXT_PRETRAINED),
        TrainingRecipe(_DEFAULTS, when={"freeze": True}),
        TrainingRecipe(_DEFAULTS, when={"lora": True}),
    ),
    "speech_pretrained": (
        TrainingRecipe(_SPEECH_PRETRAINED),
        TrainingRecipe(_SPEECH_FROZEN, when={"freeze": "all"}),
        TrainingRecipe(_DEFAULTS, when={"lora": True}),
    ),
}
