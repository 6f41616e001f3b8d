"""Tone analysis: emotions by the deviations of a voice from a baseline.

Each cue of the voice is compared with a baseline, in standard deviations. A deviation beyond a dead zone adds to the
emotions whose voices deviate in that direction, and takes from those that deviate in the other. Nothing is learnt from
labels. The table holds what reviews of the literature report: two marks for a strong or consistent effect, one for an
effect that is weak or reported by few studies, none where they disagree.

Sources:
    - Juslin & Laukka 2003, "Communication of emotions in vocal expression and music performance", Psychological
      Bulletin 129(5), tables 7 and 11: anger, fear, happiness and sadness, from 104 studies.
    - Scherer 2003, "Vocal communication of emotion", Speech Communication 40, table 2: the same emotions.
    - Murray & Arnott 1993, "Toward the simulation of emotion in synthetic speech", JASA 93(2), table I: disgust.
    - Scherer & Oshinsky 1977, "Cue utilization in emotion attribution from auditory stimuli", Motivation and Emotion 1:
      surprise.
    - Goudbeek & Scherer 2010, "Beyond arousal: Valence and potency/control cues in the vocal expression of emotion",
      JASA 128(3): the cues of arousal.
    - Gobl & Ni Chasaide 2003, "The role of voice quality in communicating emotion, mood and attitude", Speech
      Communication 40: tense, breathy and whispery voices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from multiemo.rules.deviations import (
    DEAD_ZONE,
    LARGEST,
    CueBaseline,
    CueRule,
    add_up,
    beyond,
    deviation_reasons,
    deviations,
)
from multiemo.rules.findings import Findings

#: With less voiced speech than this, in seconds, cues that need a phrase are left out.
SHORT = 0.5
#: Cues that need a phrase.
PHRASE_CUES = ("pitch_range", "pitch_slope", "loudness_range", "speaking_rate", "pauses")
#: Cues by which the arousal of a voice is estimated.
AROUSAL_CUES = ("loudness", "pitch_level", "pitch_range", "speaking_rate", "brightness")

_REVIEWS = "Juslin & Laukka 2003; Scherer 2003"
_WORDS_LIMIT = "The rules hear how something is said, not what. A voice tells arousal better than valence."
_CORPORA = ("the corpus", "the training clips")
_SOUND_LIMIT = "Telephone bandwidth, noise and the distance to the microphone change level, tension and roughness."

#: {cue of :data:`multiemo.preprocess.voice.cues.VOICE_CUES`: rule}
TONE_RULES: dict[str, CueRule] = {
    "pitch_level": CueRule(
        "high pitch",
        "low pitch",
        {"angry": 1, "happy": 2, "sad": -1, "fearful": 2, "disgusted": -1, "surprised": 2},
        0.5,
        f"{_REVIEWS}; Murray & Arnott 1993; Scherer & Oshinsky 1977",
    ),
    "pitch_range": CueRule(
        "wide pitch range",
        "monotonous",
        {"angry": 1, "happy": 2, "sad": -2, "surprised": 2},
        0.5,
        f"{_REVIEWS}; Scherer & Oshinsky 1977",
    ),
    "pitch_slope": CueRule(
        "rising pitch",
        "falling pitch",
        {"happy": 1, "sad": -1, "fearful": 1, "disgusted": -1, "surprised": 2},
        0.5,
        "Juslin & Laukka 2003; Murray & Arnott 1993; Scherer & Oshinsky 1977",
    ),
    "loudness": CueRule(
        "loud", "soft", {"angry": 2, "happy": 1, "sad": -2, "disgusted": -1}, 1.0, f"{_REVIEWS}; Murray & Arnott 1993"
    ),
    "loudness_range": CueRule(
        "uneven loudness",
        "even loudness",
        {"angry": 1, "happy": 1, "sad": -1, "fearful": 1},
        1.0,
        "Juslin & Laukka 2003",
    ),
    "speaking_rate": CueRule(
        "fast",
        "slow",
        {"angry": 1, "happy": 1, "sad": -2, "fearful": 2, "disgusted": -2, "surprised": 1},
        0.2,
        f"{_REVIEWS}; Murray & Arnott 1993; Scherer & Oshinsky 1977",
    ),
    "pauses": CueRule("many pauses", "no pauses", {"angry": -1, "happy": -1, "sad": 2}, 3.0, "Juslin & Laukka 2003"),
    "brightness": CueRule("bright, tense voice", "dull voice", {"angry": 2, "happy": 1, "sad": -2}, 0.5, _REVIEWS),
    "breathiness": CueRule(
        "breathy voice", "pressed voice", {"angry": -1, "sad": 1, "fearful": 1}, 1.0, "Gobl & Ni Chasaide 2003"
    ),
    "jitter": CueRule(
        "rough voice",
        "smooth voice",
        {"angry": 1, "happy": -1, "sad": 1, "fearful": 1},
        0.1,
        "Juslin & Laukka 2003",
    ),
}


def read_tone(values: Mapping[str, float], baseline: CueBaseline, *, voiced: float = math.inf) -> Findings:
    """What the rules find in a voice.

    Args:
        values: {cue of :data:`multiemo.preprocess.voice.cues.VOICE_CUES`: value in its unit}; NaN where unknown.
        baseline: what it is compared with: the corpus, or, better, other clips of this speaker.
        voiced: seconds of voiced speech behind the values.

    Returns:
        The findings: no reasons if nothing is voiced or there is no baseline.

    Example:
        >>> corpus = CueBaseline({"loudness": -30.0}, {"loudness": 4.0}, clips=100)
        >>> found = read_tone({"loudness": -22.0}, corpus)
        >>> found.reasons[0].rule, max(found.scores, key=found.scores.get)
        ('loud: 2.0 sd above the corpus', 'angry')
    """
    if not baseline.mean:
        return Findings(
            {}, limits=["There is no baseline: at least two clips with a voice are needed to compare with."]
        )
    short = voiced < SHORT
    heard = {cue: value for cue, value in values.items() if not (short and cue in PHRASE_CUES)}
    found = deviations(heard, TONE_RULES, baseline)
    if math.isnan(values.get("loudness", math.nan)):
        return Findings({}, limits=["No voiced speech was found, so there is no tone to analyse."])
    limits = [_WORDS_LIMIT, _SOUND_LIMIT]
    if baseline.whose in _CORPORA:
        limits.append(
            f"The voice is compared with {baseline.whose}: a register or level of the speaker's own counts as tone."
        )
    if short:
        limits.append(f"Only {voiced:.1f} s are voiced: range, contour, rate and pauses are left out.")
    known = [beyond(found[cue]) for cue in AROUSAL_CUES if cue in found]
    arousal = sum(known) / len(known) / (LARGEST - DEAD_ZONE) if known else 0.0
    return add_up(deviation_reasons(found, TONE_RULES, baseline.whose), limits, arousal=arousal)
