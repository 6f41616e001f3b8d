"""Whole inputs, which the strategies damage, and pieces that mean something in their formats."""

from __future__ import annotations

import numpy as np

LABELS = ("negative", "neutral", "positive")
ROW = {
    "id": "c1",
    "corpus": "toy",
    "speaker": "s1",
    "group": "d1",
    "language": "en",
    "text": "so happy",
    "audio": "a/b.wav",
    "video": "v.mp4",
    "image": "i.png",
    "features": {"face": {"path": "f.csv", "key": "c1"}},
    "start": 0.5,
    "end": 2.0,
    "label_set": "polarity3",
    "label": "positive",
    "votes": {"positive": 3, "neutral": 1},
    "valence": 0.3,
    "cropped": True,
    "modality_labels": {"speech": "neutral"},
    "split": "train",
    "attributes": {"sex": "female"},
}
CONFIG = {
    "name": "toy",
    "label_set": "polarity3",
    "seed": 3,
    "task": "single",
    "device": "cpu",
    "data": {
        "manifest": "m.jsonl",
        "workers": 1,
        "split": {"kind": "holdout", "val": 0.3, "test": 0.3, "exclude": ["a"]},
    },
    "encoders": {
        "text": {"name": "text_transformer", "layers": 1, "vocab_size": 600},
        "speech": {"name": "speech_prosody"},
        "face": {"name": "face_timm", "frames": 3},
    },
    "fusion": {"name": "gated", "dim": 16},
    "stages": ["text", "speech", "face", "fuse"],
    "training": {"epochs": 2, "lr": 0.001, "branch_lr": {"text": 1e-4}},
    "per_stage": {"fuse": {"epochs": 1}},
    "recipes": {},
    "branches": {},
    "max_error": 0.2,
    "benchmark": {"seeds": 1},
}
VTT = (
    "WEBVTT\n\nNOTE a\n\nc1\n"
    "00:00:01.000 --> 00:00:02.500 align:start\n<v Ann>So <b>happy</b>\n\n00:03.000 --> 00:04.000\nTom &amp; I\n"
)
WHISPER = {
    "text": " so happy",
    "language": "en",
    "segments": [
        {"id": 0, "start": 0.0, "end": 2.5, "text": " so happy", "words": [{"word": " so", "start": 0.0, "end": 0.5}]}
    ],
}
CHUNKS = {"text": "so happy", "chunks": [{"timestamp": [0.0, 2.5], "text": "so happy"}]}
OTHERS = (
    "[00:01.00]so happy\n[00:02.50]Tom left\n",
    "{0}{25}so happy\n{30}{60}Tom|left\n",
    "start,end,text\n0,1,so happy\n",
    "<transcript><text start='0.5' dur='1'>so happy</text></transcript>",
    "0:00:01.000,0:00:02.000\nso happy\n\n",
    "<SAMI><BODY><SYNC Start=100><P Class=ENCC>so happy<SYNC Start=900><P Class=ENCC>&nbsp;</BODY></SAMI>",
    '<tt xmlns="http://www.w3.org/ns/ttml"><body><div><p begin="1s" end="2.5s">so happy</p></div></body></tt>',
    "[10][25]so happy\n[30][60]Tom left\n",
    "00:00:01:so happy\n00:00:03:Tom left\n",
    "Ann: so happy. Tom: I left.",
)
CAPTION_TOKENS = [
    b"-->",
    b"00:00:01,000 --> 99:99:99,999\n",
    b"<i>",
    b"<v ",
    b"{\\an8}",
    b"&#x110000;",
    b"&amp;",
    b"\n\n",
    b"WEBVTT",
    b"[",
    b"<" * 300,
    b"{" * 300,
    b"(" * 3000,
    b"00:" * 300,
    b"1:" * 500,
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x00",
    b"<!ENTITY a 'b'>",
    b"- " * 300,
]
YAML_TOKENS = [
    b"&a ",
    b"*a ",
    b"<<: *a\n",
    b"!!python/object/apply:os.system [x]",
    b"!!binary x",
    b"2001-99-99",
    b"? ",
    b"- ",
    b"---\n",
    b"[" * 3000,
    b"0x",
    b"1:60:60",
    b"!!int x",
    b"!!timestamp 2001-13-01",
    b"{a: " * 500,
    b"\t",
    b"%YAML 9.9\n",
    b".inf",
    b"!!set {a}",
    b"'",
    b"9" * 5000,
    b"!!float 'x'",
    b"!!omap [a]",
    b"!!pairs [a]",
]
PICKLED = {"train": {"id": ["v$_$c"], "text": np.ones((1, 2, 3), np.float32), "labels": [0.5], "raw_text": ["so"]}}
