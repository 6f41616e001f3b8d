"""Timelines in a folder: their names, and the files that they do not replace."""

from __future__ import annotations

import pytest

from multiemo.errors import ConfigError
from multiemo.predict.answers import Answer
from multiemo.predict.formats import FORMATS
from multiemo.predict.formats.folder import RECORD, TimelineWriter
from multiemo.predict.prediction import InputPrediction, NoWords
from multiemo.predict.sources import Item, file_item
from multiemo.types import Clip

ENTRY = InputPrediction(
    input="talk.mp4",
    duration=12.0,
    present=[],
    absent={"face": "no face was found"},
    words=NoWords(absent="none"),
    segments=[],
    skipped=[],
    people=[],
    notes=[],
)
ANSWER = Answer(ENTRY, {})


def write(folder, *items, formats=None, others=()):
    """The failures of writing the timeline of each item, and the names of the files."""
    writer = TimelineWriter(folder, formats)
    names = writer.reserve(items, others)
    failures = [failure for name in names if name for failure in writer.write(ANSWER, name)[1]]
    return failures, sorted(path.name for path in folder.glob("[!.]*"))


def test_items_of_one_name_are_numbered_and_refused_ones_have_none(tmp_path):
    items = [file_item("a/x.wav"), Item("m.jsonl row 3", refused="bad"), file_item("b/X.mp4"), file_item("m.wav")]
    writer = TimelineWriter(tmp_path)
    assert writer.reserve(items) == ["x", "", "X-2", "m"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_timeline_is_replaced_until_somebody_changes_it(tmp_path, suffix):
    item = file_item("talk.mp4")
    for _ in range(3):
        failures, (name,) = write(tmp_path, item, formats=[suffix])
        assert failures == []
    assert {line.partition("  ")[2] for line in (tmp_path / RECORD).read_text("utf-8").splitlines()} == {name}
    with (tmp_path / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(ConfigError, match=f"{name}' would be replaced, and .* was changed since; choose another"):
        write(tmp_path, item, formats=[suffix])


def test_any_other_file_is_kept(tmp_path):
    (tmp_path / "talk.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhappy 80%\n")
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.eaf").mkdir()
    for stem in ("talk", "gone", "folder"):
        with pytest.raises(ConfigError, match="multiemo did not write it"):
            write(tmp_path, file_item("new.wav"), file_item(f"{stem}.wav"))
    assert not (tmp_path / "new.json").exists(), "nothing is written"
    assert (tmp_path / "talk.srt").read_text().endswith("happy 80%\n")


def test_a_timeline_that_is_an_input_is_kept(tmp_path):
    """A picture of a timeline is a picture, so a folder of films brings it as an input."""
    write(tmp_path, file_item("talk.mp4"))
    row = Clip(id="talk", corpus="c", image="talk.png")
    for items, others in [
        ([file_item(tmp_path / "talk.png")], ()),
        ([Item("talk", clip=row, folder=tmp_path)], ()),
        ([file_item("talk.mp4")], [tmp_path / "talk.srt"]),
    ]:
        with pytest.raises(ConfigError, match="it is read as an input or a transcript"):
            write(tmp_path, *items, others=others)


def test_a_file_that_appears_during_the_work_is_kept(tmp_path):
    writer = TimelineWriter(tmp_path, ["srt", "vtt"])
    (name,) = writer.reserve([file_item("talk.mp4")])
    (tmp_path / "talk.srt").write_text("mine")
    written, (failure,) = writer.write(ANSWER, name)
    assert [path.name for path in written] == ["talk.vtt"]
    assert failure.output == str(tmp_path / "talk.srt")
    assert "multiemo did not write it" in failure.error
    assert (tmp_path / "talk.srt").read_text() == "mine"


def test_a_name_that_no_file_can_have_is_no_obstacle(tmp_path):
    failures, names = write(tmp_path, Item("a\0b", clip=Clip(id="a\0b", corpus="c", image="a\0b.png"), folder=tmp_path))
    assert (failures, len(names)) == ([], len(FORMATS))


def test_a_name_that_is_not_utf8_is_recorded_too(tmp_path):
    for _ in range(2):
        assert write(tmp_path, file_item("a\udcff.wav"), formats=["srt"]) == ([], ["a\udcff.srt"])
