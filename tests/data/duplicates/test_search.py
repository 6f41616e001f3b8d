"""Near-duplicates: every test makes its recordings, pictures and films, and copies of them; who is a copy is known."""

from __future__ import annotations

import shutil
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import signal

from multiemo.data.duplicates import fingerprints, sounds
from multiemo.data.duplicates.search import Crossing, Duplicate, across_parts, describe, find_duplicates, to_leave_out
from multiemo.data.manifest.reading import read_manifest
from multiemo.data.splits.split import Split
from multiemo.errors import MediaError
from multiemo.media.reading import read_media
from multiemo.synthetic import corpus, film, voice
from multiemo.types import Clip, FeatureRef
from tests.support import media_files
from tests.support.media_files import write

RATE = voice.RATE
SENTENCE = np.random.default_rng(3).integers(0, 54, 9).tolist()


def speech(speaker: int, take: int, emotion: str = "neutral") -> np.ndarray:
    """A take of the one sentence that everybody says."""
    who = voice.SyntheticSpeaker.draw(np.random.default_rng([1, speaker]))
    rng = np.random.default_rng([2, speaker, take])
    return voice.speak(SENTENCE, [0] * len(SENTENCE), who, voice.blend(emotion, 1.0), rng).samples


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    return signal.resample_poly(samples, rate, RATE).astype(np.float32)


def write_sound(path: Path, samples: np.ndarray, *, codec: str, rate: int = RATE, bit_rate: int | None = None) -> None:
    """Encode 16 kHz samples at another rate."""
    write(path, audio=resample(samples, rate), audio_codec=codec, rate=rate, bit_rate=bit_rate)


def write_film(path: Path, frames: list[np.ndarray], samples: np.ndarray | None, *, size: int, crf: str = "25") -> None:
    small = [cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA) for frame in frames]
    media_files.film(path, small, samples, fps=25, options={"crf": crf, "preset": "superfast"})


def heard(*names: str, **keys: object) -> list[Clip]:
    return [Clip(id=Path(name).stem, corpus="test", audio=name, **keys) for name in names]


def pairs(found: list[Duplicate], kind: str | None = None) -> list[tuple[str, str]]:
    return [(d.first, d.second) for d in found if kind in (None, d.kind)]


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four speakers, each with four takes of one sentence."""
    folder = tmp_path_factory.mktemp("takes")
    for speaker in range(4):
        for take in range(4):
            film.write_wav(folder / f"s{speaker}t{take}.wav", speech(speaker, take))
    return folder


def all_takes() -> list[Clip]:
    return heard(*(f"s{speaker}t{take}.wav" for speaker in range(4) for take in range(4)))


def test_takes_of_one_sentence_are_different_recordings(takes: Path) -> None:
    assert find_duplicates(all_takes(), takes) == []


@pytest.mark.parametrize(
    ("name", "codec", "rate", "bit_rate", "change"),
    [
        ("copy.mp3", "libmp3lame", 44100, 32000, lambda x: 0.5 * x),
        ("copy.m4a", "aac", 22050, 32000, lambda x: x),
        ("copy.ogg", "libopus", 48000, 24000, lambda x: np.clip(2 * x[2000:-4500], -1, 1)),
        ("copy.wav", "pcm_alaw", 8000, None, lambda x: x),
        ("copy.flac", "flac", 48000, None, lambda x: np.concatenate([np.zeros(4321, np.float32), 0.2 * x])),
    ],
)
def test_a_re_encoded_recording_is_found(takes, tmp_path, name, codec, rate, bit_rate, change) -> None:
    shutil.copytree(takes, tmp_path, dirs_exist_ok=True)
    write_sound(tmp_path / name, change(speech(2, 1)), codec=codec, rate=rate, bit_rate=bit_rate)
    (found,) = find_duplicates([*all_takes(), *heard(name)], tmp_path)
    assert (found.first, found.second, found.kind) == ("s2t1", "copy", "audio")
    assert 0 < found.distance < 0.15


def test_a_renamed_file_is_found_even_if_nothing_can_be_heard(tmp_path: Path) -> None:
    film.write_wav(tmp_path / "silent.wav", np.zeros(RATE, np.float32))
    film.write_wav(tmp_path / "longer.wav", np.zeros(2 * RATE, np.float32))
    film.write_wav(tmp_path / "short.wav", speech(0, 0)[4000:8000])
    shutil.copy(tmp_path / "silent.wav", tmp_path / "renamed.wav")
    shutil.copy(tmp_path / "short.wav", tmp_path / "other.wav")
    found = find_duplicates(heard("silent.wav", "longer.wav", "short.wav", "renamed.wav", "other.wav"), tmp_path)
    assert found == [Duplicate("silent", "renamed", "audio", 0.0), Duplicate("short", "other", "audio", 0.0)]


def test_spans_count_and_not_files(tmp_path: Path) -> None:
    parts = [speech(0, take) for take in range(3)]
    film.write_wav(tmp_path / "session.wav", np.concatenate(parts))
    film.write_wav(tmp_path / "alone.wav", parts[1])
    edges = np.cumsum([0, *(len(part) / RATE for part in parts)])
    spans = [
        Clip(id=f"span{i}", corpus="test", audio="session.wav", start=float(edges[i]), end=float(edges[i + 1]))
        for i in range(3)
    ]
    again = Clip(id="again", corpus="test", audio="session.wav", start=spans[2].start, end=spans[2].end)
    assert find_duplicates(spans, tmp_path) == []
    assert pairs(find_duplicates([*spans, *heard("alone.wav"), again], tmp_path)) == [
        ("span1", "alone"),
        ("span2", "again"),
    ]
    whole = find_duplicates([*heard("session.wav"), *spans], tmp_path)
    assert pairs(whole) == [("session", "span0"), ("session", "span1"), ("session", "span2")]


def test_noise_and_hum_are_not_copies(tmp_path: Path) -> None:
    hum = np.sin(2 * np.pi * 50 * np.arange(3 * RATE) / RATE).astype(np.float32)
    for index in range(4):
        noise = np.random.default_rng(index).normal(0, 0.05, 3 * RATE).astype(np.float32)
        film.write_wav(tmp_path / f"n{index}.wav", noise + 0.1 * hum)
    assert find_duplicates(heard(*(f"n{index}.wav" for index in range(4))), tmp_path) == []


def test_words_are_the_signs_of_energy_differences() -> None:
    samples = np.pad(resample(speech(1, 0), sounds.RATE), (0, 2 * sounds.RATE))
    words = sounds.sound_words(samples)
    hz, _, power = signal.spectrogram(samples, sounds.RATE, "hann", 2048, 2048 - 64, detrend=False, mode="psd")
    edges = np.geomspace(300, 2000, 34)
    bands = np.stack([power[(hz >= a - 1.3) & (hz < b - 1.3)].sum(axis=0) for a, b in pairwise(edges)])
    fall = bands[:-1] - bands[1:]
    bits = (fall[:, 1:] > fall[:, :-1]).T
    ours = (words[:, None] >> np.arange(32)) & 1 == 1
    loud = words != sounds.QUIET
    assert 32 < loud.sum() < len(words)
    assert (ours[loud] == bits[loud]).mean() > 0.97  # scipy's window is periodic, ours symmetric


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten people, two pictures each: another expression, place and pose."""
    folder = tmp_path_factory.mktemp("album")
    for number in range(10):
        person = corpus.make_person(number, 7)
        for index, emotion in enumerate(("happy", "sad")):
            rng = np.random.default_rng([number, index])
            frames = film.render_frames(person.head, emotion, 1.0, np.zeros(100, np.float32), "face", rng)
            picture = next(islice(frames, 4, None))[40:220, 40:220]
            cv2.imwrite(str(folder / f"{person.id}-{emotion}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return folder


def seen(*names: str) -> list[Clip]:
    return [Clip(id=Path(name).stem, corpus="test", image=name) for name in names]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("copy.jpg", lambda x: x),
        ("copy.png", lambda x: cv2.resize(x, (97, 90), interpolation=cv2.INTER_AREA)),
        ("copy.bmp", lambda x: cv2.resize(x, (400, 400), interpolation=cv2.INTER_CUBIC)),
        ("copy.png", lambda x: cv2.cvtColor(x[:, ::-1], cv2.COLOR_BGR2GRAY)),
        ("copy.jpg", lambda x: cv2.convertScaleAbs(x, alpha=0.8, beta=15)[:, ::-1]),
    ],
    ids=["jpeg", "smaller", "larger", "mirrored grey", "mirrored darker jpeg"],
)
def test_a_re_encoded_picture_is_found(album: Path, tmp_path: Path, name: str, change) -> None:
    shutil.copytree(album, tmp_path, dirs_exist_ok=True)
    names = sorted(path.name for path in album.glob("*.png"))
    original = cv2.imread(str(album / names[4]))
    cv2.imwrite(str(tmp_path / name), change(original), [cv2.IMWRITE_JPEG_QUALITY, 40])
    (found,) = find_duplicates(seen(*names, name), tmp_path)
    assert (found.first, found.second, found.kind) == (Path(names[4]).stem, "copy", "image")
    assert 0 < found.distance < 0.15


def test_people_and_blank_pictures_are_told_apart(album: Path, tmp_path: Path) -> None:
    shutil.copytree(album, tmp_path, dirs_exist_ok=True)
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"zblank{index}.png"), np.full((48, 48), 120 + index // 2, np.uint8))
    found = find_duplicates(seen(*sorted(path.name for path in tmp_path.glob("*.png"))), tmp_path)
    assert found == [Duplicate("zblank0", "zblank1", "image", 0.0)]  # the same bytes


def test_spans_do_not_matter_to_pictures(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((48, 48), 120, np.uint8))
    clips = [Clip(id=str(i), corpus="test", image="blank.png", start=float(i), end=i + 1.0) for i in range(2)]
    assert pairs(find_duplicates(clips, tmp_path), "image") == [("0", "1")]


def act(seed: int, count: int = 60) -> list[np.ndarray]:
    """A head that sways and speaks in front of a wall; the wall and the head are always the same."""
    wall = np.random.default_rng(0).integers(40, 200, (8, 8, 3)).astype(np.uint8)
    wall = cv2.resize(wall, (240, 240), interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng([5, seed])
    times = np.arange(count) / 25
    sway = np.sin(2 * np.pi * (rng.uniform(0.3, 1.0, (3, 1)) * times + rng.random((3, 1))))
    mouth = np.abs(np.sin(2 * np.pi * (rng.uniform(1.5, 2.5) * times + rng.random())))
    frames = []
    for k in range(count):
        x, y = int(120 + 14 * sway[0, k]), int(125 + 9 * sway[1, k])
        frame = cv2.ellipse(wall.copy(), ((x, y), (90, 130), 6 * sway[2, k]), (225, 185, 160), -1)
        for side in (-20, 20):
            cv2.circle(frame, (x + side, y - 20), 7, (40, 30, 30), -1)
        cv2.ellipse(frame, ((x, y + 35), (34, 4 + 18 * mouth[k]), 0), (120, 40, 40), -1)
        frames.append(frame)
    return frames


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight films of one person in one place; with sound and without."""
    folder = tmp_path_factory.mktemp("studio")
    for take in range(8):
        write_film(folder / f"take{take}.mp4", act(take), None, size=240)
        write_film(folder / f"loud{take}.mp4", act(take), speech(0, take), size=240)
    frames = act(3)
    write_film(folder / "copy.mp4", frames[6:-3], None, size=96, crf="32")
    write_film(folder / "mirror.mp4", [frame[:, ::-1] for frame in frames], None, size=160)
    write_film(folder / "dubbed.mp4", frames, speech(1, 0), size=160)
    write_film(folder / "loudcopy.mp4", frames[6:], speech(0, 3)[6 * RATE // 25 :], size=96, crf="32")
    return folder


def shown(*names: str) -> list[Clip]:
    return [Clip(id=name, corpus="test", video=f"{name}.mp4") for name in names]


SILENT = [f"take{take}" for take in range(8)]
LOUD = [f"loud{take}" for take in range(8)]


def test_films_of_one_studio_are_told_apart_by_what_moves(studio: Path) -> None:
    assert find_duplicates(shown(*SILENT), studio) == []
    found = find_duplicates(shown(*SILENT, "copy", "mirror"), studio)
    assert pairs(found, "frames") == [("take3", "copy"), ("take3", "mirror"), ("copy", "mirror")]
    assert all(0 < d.distance < 0.15 for d in found)


def test_where_both_are_heard_the_sound_must_agree(studio: Path) -> None:
    assert find_duplicates(shown(*LOUD, "dubbed"), studio) == []
    found = find_duplicates(shown(*LOUD, "dubbed", "loudcopy"), studio)
    assert [(d.first, d.second, d.kind) for d in found] == [
        ("loud3", "loudcopy", "audio"),
        ("loud3", "loudcopy", "frames"),
    ]


def test_a_film_without_its_sound_is_found_by_its_frames(studio: Path) -> None:
    found = find_duplicates(shown(*LOUD, "take3"), studio)
    assert [(d.first, d.second, d.kind) for d in found] == [("loud3", "take3", "frames")]


def test_sound_alone_is_found_in_a_film(studio: Path, tmp_path: Path) -> None:
    shutil.copy(studio / "loud3.mp4", tmp_path / "loud3.mp4")
    film.write_wav(tmp_path / "voice.wav", speech(0, 3))
    found = find_duplicates([*shown("loud3"), *heard("voice.wav")], tmp_path)
    assert [(d.first, d.second, d.kind) for d in found] == [("loud3", "voice", "audio")]


def test_films_are_decoded_only_where_they_can_matter(studio: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filmed: list[str] = []

    def spy(path: Path, **keys: object) -> object:
        if keys.get("fps"):
            filmed.append(Path(path).stem)
        return read_media(path, **keys)

    monkeypatch.setattr(fingerprints, "read_media", spy)
    find_duplicates(shown(*LOUD, "loudcopy"), studio)
    assert filmed == ["loud3", "loudcopy"]


def test_a_film_in_which_nothing_moves_says_nothing(tmp_path: Path) -> None:
    for index in range(2):
        write_film(tmp_path / f"still{index}.mp4", [act(0)[0]] * 30, None, size=160 + 16 * index)
    assert find_duplicates(shown("still0", "still1"), tmp_path) == []
    shutil.copy(tmp_path / "still0.mp4", tmp_path / "still1.mp4")
    assert find_duplicates(shown("still0", "still1"), tmp_path) == [Duplicate("still0", "still1", "frames", 0.0)]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Oh my God!", "Oh my God!", False),
        ("What are you doing here?", "what are you doing here", False),
        ("No no no no no no no no no!", "No, no, no, no, no, no, no, no, no.", False),
        ("I told you we would never get there in time.", "i told you: we would never get there -- in time", True),
        ("I told you we would never get there in time.", "I told you we would never be there in time.", False),
        ("对对对对对对对对对对对对对。", "对对对对对对对对对对对对对！", False),
        ("你说句实话，咱俩今年还能不能结婚了？", "你说句实话咱俩今年还能不能结婚了", True),
        ("你不知道吗？", "你不知道吗", False),
        ("ＦＵＬＬ width: I told you we would be here in time", "full width i told you we would be here in time", True),
        ("Un garçon qui n'a peur de rien, même ici", "un garc\u0327on qui n'a peur de rien me\u0302me ici", True),
    ],
)  # fmt: skip
def test_long_texts_that_say_the_same(first: str, second: str, same: bool, tmp_path: Path) -> None:
    clips = [Clip(id="a", corpus="test", text=first), Clip(id="b", corpus="test", text=second)]
    assert find_duplicates(clips, tmp_path) == ([Duplicate("a", "b", "text", 0.0)] if same else [])


def test_a_sentence_that_speakers_were_given_is_no_duplicate(takes: Path) -> None:
    text = "The kids are talking by the old door of the house"
    assert find_duplicates(heard("s0t0.wav", "s1t0.wav", text=text), takes) == []
    given = [Clip(id=str(i), corpus="test", text=text, features={"face": FeatureRef("au.csv", str(i))}) for i in (0, 1)]
    assert find_duplicates(given, takes) == []


def split_of(**parts: str) -> Split:
    ids = {part: tuple(parts.get(part, "").split()) for part in ("train", "val", "test")}
    return Split(name="by hand", group_by="clip", parts=ids, groups=ids)


def test_only_pairs_across_parts_cross() -> None:
    found = [
        Duplicate("a", "b", "audio", 0.0),
        Duplicate("b", "x", "audio", 0.1),
        Duplicate("x", "elsewhere", "text", 0),
    ]
    assert across_parts(found, split_of(train="a b", val="v", test="x")) == [Crossing(found[1], ("train", "test"))]


def test_what_is_left_out_leaves_no_pair_and_keeps_the_test() -> None:
    split = split_of(train="t1 t2 t3", val="v1 v2", test="x1 x2")
    found = [
        Duplicate("t1", "x1", "audio", 0.0),
        Duplicate("x2", "v1", "image", 0.1),
        Duplicate("t2", "v1", "image", 0.1),  # v1 goes anyway
        Duplicate("v2", "t3", "text", 0.0),
        Duplicate("x1", "x2", "text", 0.0),
    ]
    out = to_leave_out(across_parts(found, split))
    assert out == ("t1", "t3", "v1")
    left = {part: [n for n in split.parts[part] if n not in out] for part in split.parts}
    assert left == {"train": ["t2"], "val": ["v2"], "test": ["x1", "x2"]}
    assert across_parts(found, split_of(**{part: " ".join(ids) for part, ids in left.items()})) == []


def test_the_description_counts_and_names_the_test_first() -> None:
    split = split_of(train="a b", val="v", test="x")
    found = [Duplicate("a", "v", "audio", 0.0312), Duplicate("b", "x", "frames", 0.06), Duplicate("b", "x", "audio", 0)]
    lines = describe(across_parts(found, split), most=2)
    assert lines == [
        "2 pairs of clips in different parts are the same (audio 2, frames 1)",
        "train 'b' = test 'x': frames, correlation 0.940",
        "train 'b' = test 'x': audio, identical",
        "... and 1 more",
    ]
    assert describe([]) == []


def test_a_second_call_reads_the_cache(takes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted) -> None:
    clips = all_takes()[:3]
    find_duplicates(clips, takes, cache=tmp_path, progress=counted)
    assert counted.steps == [(1, 3), (2, 3), (3, 3)]
    monkeypatch.setattr(fingerprints, "read_media", lambda *_, **__: pytest.fail("decoded again"))
    assert find_duplicates(clips, takes, cache=tmp_path) == []
    shutil.copy(takes / "s0t1.wav", tmp_path / "moved.wav")  # the content is known, whatever its name
    assert find_duplicates(heard("moved.wav"), tmp_path, cache=tmp_path) == []


def test_unreadable_media_name_the_clip(takes: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"clip 'gone': .*gone\.wav"):
        find_duplicates(heard("gone.wav"), tmp_path)
    (tmp_path / "bad.wav").write_bytes(bytes(range(256)) * 8)
    shutil.copy(takes / "s0t0.wav", tmp_path)
    with pytest.raises(MediaError, match=r"clip 'bad': .*bad\.wav"):
        find_duplicates(heard("s0t0.wav", "bad.wav"), tmp_path)


def test_the_demo_corpus_has_no_duplicates(small_corpus: Path) -> None:
    assert find_duplicates(read_manifest(small_corpus), small_corpus.parent) == []


@pytest.mark.slow
def test_ravdess_has_one_recording_twice(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "ravdess"
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.flac"))
    (found,) = find_duplicates(heard(*names), folder, cache=tmp_path)
    assert (found.first, found.second) == ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")
    assert found.distance == 0


@pytest.mark.slow
def test_re_encoded_ravdess_takes_are_found(real_data: Path, tmp_path: Path) -> None:
    originals = sorted((real_data / "ravdess").rglob("*-01.flac"))[:20]
    clips = []
    for path in originals:
        samples = read_media(path, rate=RATE).audio
        assert samples is not None
        shutil.copy(path, tmp_path)
        write_sound(tmp_path / f"{path.stem}.mp3", samples, codec="libmp3lame", rate=44100, bit_rate=32000)
        write_sound(tmp_path / f"{path.stem}.ogg", 0.5 * samples[4800:], codec="libopus", rate=48000, bit_rate=24000)
        clips += [Clip(id=path.stem + end, corpus="test", audio=path.stem + end) for end in (".flac", ".mp3", ".ogg")]
    found = {frozenset(pair) for pair in pairs(find_duplicates(clips, tmp_path))}
    stems = [path.stem for path in originals]
    ends = [(".flac", ".mp3"), (".flac", ".ogg"), (".mp3", ".ogg")]
    assert found == {frozenset((stem + a, stem + b)) for stem in stems for a, b in ends}
