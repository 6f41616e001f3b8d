"""What the rules say beside a model: of each kind of input, of rule branches and trained ones."""

from __future__ import annotations

import pytest
import torch

from multiemo.encoders.face.face_rules import FaceRulesEncoder
from multiemo.encoders.features.features import FeatureEncoder
from multiemo.encoders.speech.speech_prosody import SpeechProsody
from multiemo.encoders.speech.speech_rules import SpeechRulesEncoder
from multiemo.encoders.text.text_rules import TextRulesEncoder
from multiemo.encoders.text.text_transformer import TextTransformer
from multiemo.explanation.evidence.base import ClipInput
from multiemo.explanation.rule_readings import rule_findings, rule_reading
from multiemo.inputs import build_input
from multiemo.inputs.material import Audio, Utterance
from multiemo.preprocess.voice.cues import voice_cues
from multiemo.rules.deviations import CueBaseline
from multiemo.rules.findings import Findings
from tests.support.voices import RATE, utterance

COLUMNS = ("AU04_r", "AU06_r", "AU12_r", "AU15_r", "gaze")
SMILE = torch.tensor([[0.1, 3.0, 3.5, 0.1, 9.0]])
RESTING = [torch.tensor([[0.1, 0.2 * i, 0.3 * i, 0.1 * i, float(i)]]) for i in range(4)]


def winner(findings: Findings | None) -> str:
    assert findings is not None
    return max(findings.scores, key=findings.scores.__getitem__)


@pytest.mark.parametrize("trained", [False, True])
def test_words(trained: bool):
    encoder = TextTransformer(dim=16, layers=1, heads=2, vocab_size=600) if trained else TextRulesEncoder()
    entry = build_input("text", encoder.input_spec, texts=lambda: ["some words", "more words"] * 20)
    raw = Utterance("I am so happy today")
    clip = ClipInput("text", entry, torch.zeros(1, dtype=torch.long), raw)
    assert winner(rule_findings(clip, encoder)) == "happy"


@pytest.mark.parametrize("encoder_type", [FaceRulesEncoder, FeatureEncoder])
def test_units_are_compared_with_what_the_encoder_saw_in_training(encoder_type: type):
    given = {} if encoder_type is FaceRulesEncoder else {"modality": "face"}
    encoder = encoder_type(dim=5, columns=COLUMNS, **given)
    encoder.fit_statistics(RESTING)
    found = rule_findings(ClipInput("face", build_input("face", encoder.input_spec), SMILE), encoder)
    assert winner(found) == "happy"
    assert found.reasons[0].rule.endswith("above the corpus")


def test_features_without_units_have_no_rules():
    encoder = FeatureEncoder(modality="face", dim=5)
    assert rule_findings(ClipInput("face", build_input("face", encoder.input_spec), SMILE), encoder) is None


def test_a_voice_beside_a_trained_branch_needs_a_baseline():
    encoder = SpeechProsody(width=4, out_dim=16)
    entry = build_input("speech", encoder.input_spec)

    def clip_of(decibels: float) -> ClipInput:
        return ClipInput("speech", entry, entry.prepare(Audio(utterance(intensity=decibels), RATE)).tensor)

    alone = rule_findings(clip_of(9.0), encoder)
    assert not alone.reasons
    assert "There is no baseline" in alone.limits[0]
    others = [voice_cues(clip_of(level).tensor[:, -11:]).values for level in (-1.0, 0.0, 1.0)]
    found = rule_findings(clip_of(9.0), encoder, tone=CueBaseline.of(others, whose="this speaker"))
    assert {reason.part for reason in found.reasons} >= {"level"}
    assert any(reason.rule.startswith("loud: ") for reason in found.reasons)


def test_a_rule_branch_compares_a_voice_with_its_own_baseline():
    encoder = SpeechRulesEncoder()
    entry = build_input("speech", encoder.input_spec)
    tensors = [entry.prepare(Audio(utterance(intensity=level), RATE)).tensor for level in (-1.0, 0.0, 1.0, 9.0)]
    encoder.fit_statistics(tensors[:3])
    found = rule_findings(ClipInput("speech", entry, tensors[3]), encoder)
    assert any(reason.rule.startswith("loud: ") for reason in found.reasons)


def test_a_reading_is_in_the_labels_of_the_model_and_beside_its_decision():
    encoder = FaceRulesEncoder(dim=5, columns=COLUMNS)
    encoder.fit_statistics(RESTING)
    found = encoder.find(SMILE)
    labels = ("angry", "joy", "other")
    agreeing, opposing = (rule_reading("face", found, labels, decided) for decided in ("joy", "angry"))
    assert (agreeing.label, agreeing.agrees, opposing.agrees) == ("joy", True, False)
    assert sum(agreeing.probs.values()) == pytest.approx(1, abs=1e-5)
    assert agreeing.reasons[0].part in ("AU12 lip corner puller", "AU06 cheek raiser")


def test_rules_that_find_nothing_neither_agree_nor_disagree():
    reading = rule_reading("speech", Findings({}, limits=["why"]), ("happy", "sad"), "sad")
    assert (reading.label, reading.agrees, reading.limits) == (None, None, ["why"])
    assert reading.probs == {"happy": 0.5, "sad": 0.5}
