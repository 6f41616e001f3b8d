"""The effect of each emotion on voice and face: published cue tables as plain data.

Nothing here is fitted to recordings. Directions and order come from the sources below. Where a source gives only a
direction ("F0 mean: high"), the size is of the usual order for acted speech, chosen so that the cue is clear.

Sources:
    - Juslin & Laukka 2003, "Communication of emotions in vocal expression and music performance", Psychological
      Bulletin 129(5), tables 7 and 11: speech rate, intensity, high-frequency energy, F0 level, range and contour,
      attacks, microstructural irregularity for anger, fear, happiness, sadness.
    - Scherer 2003, "Vocal communication of emotion", Speech Communication 40, table 2.
    - Banse & Scherer 1996, "Acoustic profiles in vocal emotion expression", JPSP 70(3).
    - Peterson & Barney 1952, "Control methods used in a study of the vowels", JASA 24(2), table II.
    - Ekman, Friesen & Hager 2002, Facial Action Coding System (the action units and their appearance changes).
    - Du, Tao & Martinez 2014, "Compound facial expressions of emotion", PNAS 111(15), table 1: prototypical action
      units, and the share of people who add each further one.
    - Russell & Mehrabian 1977, "Evidence for a three-factor theory of emotions", J. Research in Personality 11(3):
      pleasure, arousal, dominance of emotion terms.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The categories of the corpus, in the order of ``LABEL_SETS["demo5"]``.
EMOTIONS: tuple[str, ...] = ("neutral", "happy", "sad", "angry", "fearful")


@dataclass(frozen=True, slots=True)
class VoiceCue:
    """The change of a voice, relative to the speaker's neutral voice, for an emotion at full strength.

    Args:
        f0_shift: F0 level, semitones.
        f0_range: F0 excursion, ratio.
        contour: F0 slope over the utterance, semitones per second.
        rate: syllables per second, ratio.
        intensity: dB.
        tilt: change of the spectral slope, dB per octave. A positive one is a tenser, brighter voice.
        jitter: cycle-to-cycle F0 irregularity, share of the period.
        tremor: depth of a 6.5 Hz F0 modulation, semitones.
        pause: probability of a pause after a syllable.
        attack: rise time of a syllable, seconds.
        breath: aspiration noise, share of the voiced amplitude.
        formants: formant frequencies, ratio (spread lips shorten the vocal tract, protruded lips lengthen it).
    """

    f0_shift: float
    f0_range: float
    contour: float
    rate: float
    intensity: float
    tilt: float
    jitter: float
    tremor: float
    pause: float
    attack: float
    breath: float
    formants: float


#: Juslin & Laukka 2003 table 11, Scherer 2003 table 2, Banse & Scherer 1996 (hot anger, elation, sadness, panic fear).
VOICE: dict[str, VoiceCue] = {
    "neutral": VoiceCue(0.0, 1.0, -1.0, 1.00, 0.0, 0.0, 0.006, 0.0, 0.06, 0.030, 0.03, 1.00),
    "happy": VoiceCue(4.5, 2.3, 2.5, 1.10, 4.0, 2.0, 0.006, 0.0, 0.03, 0.025, 0.02, 1.07),
    "sad": VoiceCue(-2.0, 0.45, -2.5, 0.74, -6.0, -3.5, 0.012, 0.1, 0.22, 0.055, 0.10, 0.97),
    "angry": VoiceCue(2.0, 1.5, -3.5, 1.14, 8.0, 3.5, 0.022, 0.0, 0.03, 0.010, 0.01, 1.00),
    "fearful": VoiceCue(6.5, 0.65, 2.5, 1.30, -2.0, -0.8, 0.028, 0.7, 0.10, 0.020, 0.14, 1.02),
}

#: Peterson & Barney 1952: F1, F2, F3 in Hz, averages of the men.
VOWELS: dict[str, tuple[float, float, float]] = {
    "i": (270.0, 2290.0, 3010.0),
    "ɪ": (390.0, 1990.0, 2550.0),
    "ɛ": (530.0, 1840.0, 2480.0),
    "æ": (660.0, 1720.0, 2410.0),
    "ɑ": (730.0, 1090.0, 2440.0),
    "ɔ": (570.0, 840.0, 2410.0),
    "ʊ": (440.0, 1020.0, 2240.0),
    "u": (300.0, 870.0, 2240.0),
    "ʌ": (640.0, 1190.0, 2390.0),
    "ɝ": (490.0, 1350.0, 1690.0),
}

#: Du, Tao & Martinez 2014 table 1: action unit -> share of people who show it (1.0 = prototypical).
FACE: dict[str, dict[int, float]] = {
    "neutral": {},
    "happy": {12: 1.0, 25: 1.0, 6: 0.51},
    "sad": {4: 1.0, 15: 1.0, 1: 0.60, 6: 0.50, 11: 0.26, 17: 0.67},
    "angry": {4: 1.0, 7: 1.0, 24: 1.0, 10: 0.26, 17: 0.52, 23: 0.29},
    "fearful": {1: 1.0, 4: 1.0, 20: 1.0, 25: 1.0, 2: 0.57, 5: 0.63, 26: 0.33},
}

#: {action unit: FACS name} of those that :mod:`multiemo.synthetic.face` can draw.
ACTION_UNITS: dict[int, str] = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    10: "upper lip raiser",
    11: "nasolabial deepener",
    12: "lip corner puller",
    15: "lip corner depressor",
    17: "chin raiser",
    20: "lip stretcher",
    23: "lip tightener",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
    45: "blink",
}

#: Russell & Mehrabian 1977: pleasure, arousal, dominance of "happy", "sad", "angry", "fearful"; -1..1.
DIMENSIONS: dict[str, tuple[float, float, float]] = {
    "neutral": (0.0, 0.0, 0.0),
    "happy": (0.81, 0.51, 0.46),
    "sad": (-0.63, -0.27, -0.33),
    "angry": (-0.51, 0.59, 0.25),
    "fearful": (-0.64, 0.60, -0.43),
}
