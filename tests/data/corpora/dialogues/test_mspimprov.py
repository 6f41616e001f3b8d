"""The adapter ``mspimprov`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.corpora import by_id, run, touch, write


@pytest.mark.parametrize("table", ["Evalution.txt", "Evaluation.txt"])
def test_mspimprov(tmp_path: Path, table: str) -> None:
    root = touch(
        tmp_path / "msp",
        "session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav",
        "session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.avi",
        "session6/S20H/R/MSP-IMPROV-S20H-M06-R-MM01.wav",
        "session2/S02N/S/MSP-IMPROV-S02N-F02-S-FM11.wav",
        "session2/S02N/S/MSP-IMPROV-S02N-F02-S-FM99.wav",
        "copy/MSP-IMPROV-S01A-F01-P-FM01.wav",
        "notes.wav",
    )
    words = root / "Human_transcriptions/All_human_transcriptions"
    write(words / "MSP-IMPROV-S01A-F01-P-FM01.txt", "I did  not\nknow that.\n")
    write(words / "MSP-IMPROV-S20H-M06-R-MM01.txt", "\n")
    write(words / "MSP-IMPROV-S05N-F05-T-FM01.txt", "Heard by nobody.")
    write(
        root / table,
        "UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.000000; V:3.500000; D:NaN ; N:4.200000;\n"
        "F0001; Neutral; Neutral, ; A:3.000000; V:3.000000; D:3.000000; N:4.000000;\n"
        "F0002; Other; Concerned, ; A:3.000000; V:3.000000; D:3.000000; N:4.000000;\n"
        "F0003; Neutral; Neutral, ; A:3.000000; V:3.000000; D:3.000000; N:4.000000;\n"
        "F0003; Neutral; Neutral, ; A:3.000000; V:3.000000; D:3.000000; N:4.000000;\n\n"
        "UTD-IMPROV-S20H-M06-R-MM01.avi; H; A:5.000000; V:5.000000; D:1.000000 ; N:4.200000;\n\n"
        "UTD-IMPROV-S02N-F02-S-FM11.avi; X; A:3.000000; V:3.000000; D:3.000000 ; N:NaN;\n"
        "F0001; Sad; ; A:3.000000; V:3.000000; D:3.000000; N:4.000000;\n\n"
        "UTD-IMPROV-S03S-F03-T-FM01.avi; S; A:3.000000; V:3.000000; D:3.000000 ; N:3.000000;\n\n"
        "UTD-IMPROV-S04S-F03-T-FM01.avi; Q; A:3.000000; V:3.000000; D:3.000000 ; N:3.000000;\n"
        "UTD-IMPROV-S05N-F05-T-FM01.avi; N; A:3.000000; V:3.000000; D:3.000000 ; N:3.000000;\n",
    )
    prepared = run("mspimprov", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert list(clips) == [
        "MSP-IMPROV-S01A-F01-P-FM01", "MSP-IMPROV-S20H-M06-R-MM01", "MSP-IMPROV-S02N-F02-S-FM11",
        "MSP-IMPROV-S05N-F05-T-FM01",
    ]  # fmt: skip
    first, happy, undecided, unheard = clips.values()
    assert [clip.text for clip in clips.values()] == ["I did not know that.", None, None, "Heard by nobody."]
    assert (unheard.audio, unheard.video) == (None, None)
    assert (first.speaker, first.group, first.label, first.votes) == ("F01", "session1", "neutral", {"neutral": 2})
    assert (first.valence, first.arousal, first.dominance) == (0.25, 0.5, None)
    assert first.video == "msp/session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.avi"
    assert (happy.label, happy.speaker, happy.group, happy.video) == ("happy", "M06", "session6", None)
    assert (happy.valence, happy.arousal, happy.dominance) == (1.0, -1.0, -1.0)
    assert (undecided.label, undecided.votes, undecided.valence) == (None, None, 0.0)
    assert {clip.label_set for clip in clips.values()} == {"mspimprov4"}
    assert sorted(s.what for s in prepared.skipped) == [
        f"{table} line 14",
        "MSP-IMPROV-S03S-F03-T-FM01",
        "notes.wav",
        "session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav",
        "session2/S02N/S/MSP-IMPROV-S02N-F02-S-FM99.wav",
    ]
