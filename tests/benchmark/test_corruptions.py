"""Corruptions against what they promise, measured by other means than their own."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torchaudio
from numpy.testing import assert_array_equal
from scipy import ndimage, signal

from multiemo.benchmark.corrupt_face import Film
from multiemo.benchmark.corrupt_speech import Sound, active_level
from multiemo.benchmark.corrupt_text import _NEIGHBOURS, Vocabulary, Wording
from multiemo.benchmark.corruptions import CORRUPTIONS, choose, randomness
from multiemo.errors import ConfigError

RATE = 16000
CHANGING = [c for c in CORRUPTIONS.values() if c.function is not None]
IDENTITY = {
    "white_noise": math.inf,
    "babble": math.inf,
    "clipping": math.inf,
    "occlusion": 0.0,
    "blur": 0.0,
    "low_light": 0.0,
    "low_resolution": math.inf,
    "dropped_frames": 0.0,
    "asr_errors": 0.0,
    "typos": 0.0,
}


def apply(name, given, severity, *, seed=0, clip="a"):
    return CORRUPTIONS[name].function(given, severity, randomness(seed, clip, name))


def speech(seconds=3.0, level=0.05, seed=1, rate=RATE):
    """Syllables of a harmonic voice with pauses between and a faint room around them."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    f0 = 120 + 60 * rng.random()
    voice = sum(np.sin(2 * np.pi * k * f0 * t + rng.random() * 6) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 2.1 * t + 6 * rng.random()), 0, None) * (np.sin(2 * np.pi * 0.4 * t) > -0.3)
    return (level * voice * syllables + 1e-4 * rng.standard_normal(len(t))).astype(np.float32)


def sound(**options):
    return Sound(speech(**options), options.get("rate", RATE), tuple(speech(seed=s) for s in range(10, 20)))


def film(frames=6, height=90, width=120, seed=0):
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (frames, height, width, 3)).astype(np.uint8)
    boxes = np.array([[20.0 + i, 10.0, 80.0 + i, 70.0] for i in range(frames)])
    return Film(pictures, np.arange(frames) / 4, boxes)


ENGLISH = [f"word{i:03d}" for i in range(400)]
CHINESE = [chr(0x4E00 + i) for i in range(400)]


def wordings(count=60, length=30):
    rng = np.random.default_rng(5)
    vocabulary = Vocabulary(tuple(ENGLISH), tuple(CHINESE))
    english = [" ".join(rng.choice(ENGLISH, length)) + "!" for _ in range(count)]
    chinese = ["".join(rng.choice(CHINESE, length)) + "。" for _ in range(count)]
    return [Wording(t, vocabulary=vocabulary) for t in english], [Wording(t, vocabulary=vocabulary) for t in chinese]


def given_to(corruption):
    if corruption.modality == "speech":
        return sound(seconds=1.0)
    return film(12) if corruption.modality == "face" else wordings(1)[0][0]


def content(given):
    if isinstance(given, Sound):
        return given.samples
    return given.frames if isinstance(given, Film) else given.text


def level_by_the_book(samples, rate):
    """ITU-T P.56 method B sample by sample, as its text has it."""
    g = math.exp(-1 / (rate * 0.03))
    hang, thresholds = math.ceil(0.2 * rate), [2.0**-j for j in range(1, 17)]
    counts, silent, p, q = [0] * 16, [hang] * 16, 0.0, 0.0
    for x in np.abs(samples.astype(float)).tolist():
        p = g * p + (1 - g) * x
        q = g * q + (1 - g) * p
        for j, c in enumerate(thresholds):
            silent[j] = 0 if q >= c else silent[j] + 1
            counts[j] += silent[j] <= hang and (q >= c or counts[j] > 0)
    energy = float(np.square(samples.astype(float)).sum())
    before = None
    for c, n in zip(thresholds, counts, strict=True):
        if n:
            level = 10 * math.log10(energy / n)
            gap = level - 20 * math.log10(c)
            if before is not None and gap >= 15.9:
                return before[0] + (15.9 - before[1]) / (gap - before[1]) * (level - before[0])
            before = level, gap
    raise AssertionError("no threshold fits")


# ----------------------------------------------------------------------------------------------------------- speech
@pytest.mark.parametrize("seed", [1, 2])
def test_the_active_level_is_that_of_the_recommendation(seed):
    samples = speech(seconds=1.5, seed=seed)
    assert active_level(samples, RATE) == pytest.approx(level_by_the_book(samples, RATE), abs=0.05)
    padded = np.concatenate([samples, np.zeros(3 * RATE, np.float32)])
    assert active_level(padded, RATE) == pytest.approx(active_level(samples, RATE), abs=0.6), "pauses do not count"


@pytest.mark.parametrize("name", ["white_noise", "babble"])
@pytest.mark.parametrize("snr", [20.0, 10.0, 0.0, -5.0])
def test_noise_lies_as_far_under_the_active_level_as_asked(name, snr):
    clean = sound(level=0.02, seconds=1.5)
    noise = apply(name, clean, snr).samples.astype(float) - clean.samples
    under = level_by_the_book(clean.samples, RATE) - 10 * math.log10(np.square(noise).mean())
    assert under == pytest.approx(snr, abs=0.1)


def test_white_noise_is_white_and_babble_is_like_speech():
    clean = sound(level=0.02)
    white, talk = (apply(n, clean, 0.0).samples.astype(float) - clean.samples for n in ("white_noise", "babble"))
    frequency, density = signal.welch(white, RATE, nperseg=1024)
    inside = density[(frequency > 100) & (frequency < 7900)]
    assert inside.max() / inside.min() < 6
    frequency, density = signal.welch(talk, RATE, nperseg=1024)
    assert density[frequency < 1000].sum() > 3 * density[frequency >= 1000].sum()


def test_babble_mixes_many_others_and_refuses_none():
    clean = sound(level=0.02)
    noise = apply("babble", clean, 0.0).samples.astype(float) - clean.samples
    heard = [
        np.abs(signal.correlate(noise, other[:8000].astype(float), mode="valid", method="fft")).max()
        / np.linalg.norm(other[:8000])
        for other in clean.others
    ]
    strangers = [
        np.abs(signal.correlate(noise, speech(seed=s)[:8000].astype(float), mode="valid", method="fft")).max()
        / np.linalg.norm(speech(seed=s)[:8000])
        for s in range(30, 40)
    ]
    assert np.mean(heard) > 1.3 * np.mean(strangers)
    with pytest.raises(ValueError, match="none"):
        apply("babble", replace(clean, others=()), 0.0)


@pytest.mark.parametrize("headroom", [6.0, 0.0, -12.0])
def test_clipping_cuts_at_its_level_and_keeps_the_energy(headroom):
    clean = sound(seconds=1.5)
    limit = 10 ** ((level_by_the_book(clean.samples, RATE) + headroom) / 20)
    cut = np.clip(clean.samples, -limit, limit)
    expected = cut * np.sqrt(np.square(clean.samples.astype(float)).mean() / np.square(cut.astype(float)).mean())
    got = apply("clipping", clean, headroom).samples
    assert np.abs(got - expected).max() < 0.01 * np.abs(expected).max()
    assert np.square(got.astype(float)).mean() == pytest.approx(np.square(clean.samples.astype(float)).mean(), rel=1e-4)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_the_telephone_keeps_its_band_and_nothing_else(rate):
    noise = (0.1 * np.random.default_rng(0).standard_normal(4 * rate)).astype(np.float32)
    got = apply("telephone", Sound(noise, rate), 0.0).samples
    frequency, density = signal.welch(got, rate, nperseg=4096)
    _, before = signal.welch(noise, rate, nperseg=4096)
    gain = 10 * np.log10(density / before)
    assert np.abs(gain[(frequency > 500) & (frequency < 3200)]).max() < 2
    assert gain[(frequency > 10) & (frequency < 100)].max() < -30
    assert gain[(frequency > 3700) & (frequency < 0.45 * rate)].max() < -30


def test_the_telephone_quantises_by_the_mu_law_and_loses_packets():
    tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(8000 * 20) / 8000)).astype(np.float32)
    line = apply("telephone", Sound(tone, 8000), 0.0).samples[800:-800]
    assert len(np.unique(np.round(line, 5))) <= 256
    noise = line - 0.5 * np.sin(2 * np.pi * 1000 * np.arange(8000 * 20) / 8000)[800:-800]
    aligned = signal.correlate(line, tone[800:-800], mode="same", method="fft").max() / np.square(tone[800:-800]).sum()
    assert aligned == pytest.approx(1, abs=0.1)
    assert np.abs(noise).max() < 0.6
    lost = apply("telephone", Sound(tone, 8000), 0.3).samples.reshape(-1, 160)
    assert (np.abs(lost).max(axis=1) == 0).mean() == pytest.approx(0.3, abs=0.05)


# ------------------------------------------------------------------------------------------------------------- face
@pytest.mark.parametrize("share", [0.1, 0.35, 0.7, 1.0])
def test_the_plate_covers_its_share_of_the_face_and_moves_with_it(share):
    clean = replace(film(), frames=np.full((6, 90, 120, 3), 200, np.uint8))
    got = apply("occlusion", clean, share).frames
    hidden = (got == 127).all(axis=3)
    assert hidden.sum(axis=(1, 2)) == pytest.approx(share * 3600, rel=0.05)
    for i, (plate, box) in enumerate(zip(hidden, clean.boxes.astype(int), strict=True)):
        outside = plate.copy()
        outside[box[1] : box[3], box[0] : box[2]] = False
        assert not outside.any()
        assert_array_equal(np.roll(hidden[0], i, axis=1), plate)
    assert (got[~hidden] == 200).all()


@pytest.mark.parametrize("share", [0.02, 0.05, 0.2])
def test_blur_is_a_gaussian_in_face_sizes(share):
    rng = np.random.default_rng(3)
    coarse = ndimage.zoom(rng.integers(0, 256, (10, 13, 3)).astype(float), (12, 12, 1), order=1).clip(0, 255)
    clean = Film(coarse.astype(np.uint8)[None], np.zeros(1), np.array([[10.0, 10.0, 110.0, 110.0]]))
    got = apply("blur", clean, share).frames[0].astype(float)
    expected = ndimage.gaussian_filter(clean.frames[0].astype(float), (100 * share, 100 * share, 0), mode="mirror")
    assert np.abs(got - expected).mean() < 1.5
    assert np.abs(got - expected)[20:-20, 20:-20].max() < 8


def test_low_light_halves_the_light_a_stop_and_leaves_the_noise():
    clean = replace(film(), frames=np.full((2, 90, 120, 3), 180, np.uint8), boxes=film(2).boxes, times=np.zeros(2))
    before = (180 / 255) ** 2.2
    noise = []
    for stops in (1.0, 3.0):
        light = (apply("low_light", clean, stops).frames / 255.0) ** 2.2
        assert light.mean() == pytest.approx(before / 2**stops, rel=0.02)
        noise.append(light.std() / light.mean())
    assert noise[1] > 1.3 * noise[0]


@pytest.mark.parametrize("pixels", [32.0, 16.0, 8.0])
def test_low_resolution_leaves_no_finer_detail(pixels):
    clean = film(1, 240, 240)
    clean = replace(clean, boxes=np.array([[20.0, 20.0, 180.0, 180.0]]))
    got = apply("low_resolution", clean, pixels).frames[0].mean(axis=2)
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2(got - got.mean()))) ** 2
    reach = np.hypot(*np.meshgrid(*[np.arange(240) - 120] * 2))
    nyquist = 240 * pixels / 160 / 2
    assert spectrum[reach > 2.2 * nyquist].sum() < 0.07 * spectrum.sum()
    assert apply("low_resolution", clean, 160.0) is clean, "a face of no more pixels stays"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 1.0])
def test_dropped_frames_are_gone_with_their_times(share):
    clean = film(10)
    got = apply("dropped_frames", clean, share)
    assert len(got.frames) == len(got.times) == len(got.boxes) == 10 - round(10 * share)
    assert (np.diff(got.times) > 0).all()
    for frame, time in zip(got.frames, got.times, strict=True):
        assert_array_equal(frame, clean.frames[int(time * 4)])


# ------------------------------------------------------------------------------------------------------------- text
def units(text, chinese):
    return list(text.rstrip("。")) if chinese else text.rstrip("!").split()


@pytest.mark.parametrize("chinese", [False, True])
@pytest.mark.parametrize("rate", [0.05, 0.3, 0.6])
def test_word_errors_have_the_asked_rate(chinese, rate):
    errors = words = longer = 0
    for i, wording in enumerate(wordings(100)[chinese]):
        got = apply("asr_errors", wording, rate, clip=str(i)).text
        before, after = units(wording.text, chinese), units(got, chinese)
        errors += torchaudio.functional.edit_distance(before, after)
        words += len(before)
        longer += len(after) - len(before)
    assert errors / words == pytest.approx(rate, abs=0.025)
    assert longer / errors == pytest.approx(0.11 - 0.28, abs=0.09)


def test_word_errors_draw_from_the_vocabulary_and_keep_punctuation():
    wording = Wording("Well, I am fine - 我很好，真的！", vocabulary=Vocabulary(("zebra",), ("象",)))
    got = apply("asr_errors", wording, 1.0).text
    assert {c for c in got if not c.isalnum() and c != " "} == {",", "-", "，", "！"}
    assert set(got) & set("象zebra")
    alone = apply("asr_errors", Wording("one two three four five six"), 1.0).text
    assert set(alone.split()) <= {"one", "two", "three", "four", "five", "six"}


def test_earlier_utterances_of_the_dialogue_get_errors_too():
    wording = Wording(
        "good day to you", ((True, "one two three four five"), (False, "six seven eight")), Vocabulary(("x",))
    )
    got = apply("asr_errors", wording, 1.0)
    assert [same for same, _ in got.earlier] == [True, False]
    assert got.earlier[0][1] != wording.earlier[0][1]
    assert got.earlier[1][1] != wording.earlier[1][1]


def test_typos_hit_their_share_of_the_letters():
    text = "the quick brown fox jumps over the lazy dog while nobody is watching him " * 12
    letters = sum(c.isalpha() for c in text)
    for rate in (0.1, 0.3):
        got = apply("typos", Wording(text), rate).text
        edits = torchaudio.functional.edit_distance(list(text), list(got))
        # a swap is two edits of Levenshtein's, and takes a second letter with it
        assert 0.85 * rate < edits / letters < 1.4 * rate
        assert got.count(" ") == text.count(" ")


def test_a_wrong_key_is_a_neighbour():
    text = "Hello there my dear friends of the keyboard " * 30
    got = apply("typos", Wording(text), 0.2).text
    rows = ["qwertyuiop", "asdfghjkl", "zxcvbnm"]
    place = {c: (x, y) for y, row in enumerate(rows) for x, c in enumerate(row)}
    for letter, near in _NEIGHBOURS.items():
        assert near
        for other in near:
            assert letter in _NEIGHBOURS[other]
            assert max(abs(a - b) for a, b in zip(place[letter], place[other], strict=True)) == 1
    assert sum(c.isupper() for c in got) > 15


def test_typos_of_chinese_only_drop_and_swap():
    text = "".join(CHINESE)
    got = apply("typos", Wording(text), 0.3).text
    assert set(got) < set(text)
    assert 0.75 * len(text) < len(got) < 0.95 * len(text)
    assert any(got.find(b) < got.find(a) for a, b in pairwise(text) if a in got and b in got)


# ------------------------------------------------------------------------------------------------- common to all
@pytest.mark.parametrize("corruption", CHANGING, ids=lambda c: c.name)
def test_the_same_seed_clip_and_corruption_give_the_same_and_others_do_not(corruption):
    given, severity = given_to(corruption), corruption.severities[2]
    first = content(apply(corruption.name, given, severity))
    apply(corruption.name, given, corruption.severities[0], clip="other")
    again = content(apply(corruption.name, given, severity))
    assert_array_equal(first, again)
    if corruption.name not in ("clipping", "blur", "low_resolution"):
        for other in ({"seed": 1}, {"clip": "b"}):
            assert not np.array_equal(first, content(apply(corruption.name, given, severity, **other)))


@pytest.mark.parametrize("corruption", CHANGING, ids=lambda c: c.name)
def test_kind_shape_and_range_stay_at_every_severity(corruption):
    given = given_to(corruption)
    before = content(given)
    kept = before if isinstance(before, str) else before.copy()
    for severity in corruption.severities:
        got = content(apply(corruption.name, given, severity))
        if isinstance(kept, str):
            assert isinstance(got, str)
            continue
        assert got.dtype == kept.dtype
        assert got.shape[1:] == kept.shape[1:]
        assert corruption.name == "dropped_frames" or got.shape == kept.shape
        assert np.isfinite(got).all()
        assert corruption.modality != "speech" or np.abs(got).max() <= 1
    assert_array_equal(content(given), kept), "the clip itself is not touched"


def test_every_corruption_but_the_telephone_has_a_severity_that_changes_nothing():
    assert set(IDENTITY) == {c.name for c in CHANGING} - {"telephone"}
    for name, severity in IDENTITY.items():
        given = given_to(CORRUPTIONS[name])
        assert_array_equal(content(apply(name, given, severity)), content(given))


@pytest.mark.parametrize("name", ["white_noise", "babble"])
def test_a_lower_snr_is_the_same_noise_louder(name):
    clean = sound(level=0.01, seconds=1.0)
    quiet, loud = (apply(name, clean, snr).samples.astype(float) - clean.samples for snr in (10.0, 0.0))
    assert np.corrcoef(quiet, loud)[0, 1] > 0.999


def test_a_higher_rate_hits_the_same_words_and_more():
    (wording, *_), _ = wordings(1)
    kept = [
        set(wording.text.rstrip("!").split()) & set(apply("asr_errors", wording, rate).text.rstrip("!").split())
        for rate in (0.1, 0.3, 0.6)
    ]
    assert len(kept[0]) > len(kept[1]) > len(kept[2])


@pytest.mark.parametrize("corruption", [c for c in CHANGING if c.modality == "speech"], ids=lambda c: c.name)
@pytest.mark.parametrize("length", [0, 1, 7, 800])
def test_hardly_any_or_silent_sound_is_no_reason_to_stop(corruption, length):
    others = sound().others
    for samples in (np.zeros(length, np.float32), np.full(length, 0.3, np.float32)):
        for severity in corruption.severities:
            got = apply(corruption.name, Sound(samples, RATE, others), severity).samples
            assert got.shape == samples.shape
            assert np.isfinite(got).all()
            assert samples.any() or not np.abs(got).max(initial=0) > 0.01, "silence stays silence"


@pytest.mark.parametrize("corruption", [c for c in CHANGING if c.modality == "face"], ids=lambda c: c.name)
@pytest.mark.parametrize(("height", "width"), [(40, 60), (1, 1), (1, 50)])
def test_one_frame_and_tiny_pictures_are_no_reason_to_stop(corruption, height, width):
    picture = np.full((1, height, width, 3), 90, np.uint8)
    for box in ([0.0, 0.0, width, height], [-5.0, -5.0, width + 9.0, height + 9.0], [3.0, 3.0, 3.0, 3.0]):
        for severity in corruption.severities:
            got = apply(corruption.name, Film(picture, np.zeros(1), np.array([box])), severity)
            assert got.frames.shape == picture.shape


@pytest.mark.parametrize("name", ["asr_errors", "typos"])
@pytest.mark.parametrize("text", ["", "   ", "!?", "a", "我", "😀 ok"])
def test_hardly_any_text_is_no_reason_to_stop(name, text):
    for severity in CORRUPTIONS[name].severities:
        for clip in "abcdef":
            assert isinstance(apply(name, Wording(text), severity, clip=clip).text, str)


def test_names_are_checked():
    assert len(choose()) == len(CORRUPTIONS)
    own = replace(CORRUPTIONS["typos"], name="mine", severities=(0.5,))
    assert choose(["babble", own])[1] is own
    with pytest.raises(ConfigError, match="did you mean 'babble'"):
        choose(["babbel"])
