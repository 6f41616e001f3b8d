"""Corpus adapters: a folder on disk -> clips. Importing this package registers all of them.

An adapter is a function ``(root, skip, *, options) -> Iterator[Clip]`` registered under its corpus's name:

- ``root``: the corpus folder as published. Paths in the clips are relative to it (POSIX form).
- ``skip``: called with (file or row, reason) for everything that is left out, so that nothing is lost silently.
- ``made`` (only where an adapter asks for it): a callable giving a writable folder for media and features that must be
  written out first; paths of such files are absolute.
- ``became`` (likewise): to be called with (label as written, label it becomes or ``None``), where labels are the words
  of whoever made the folder.
- keyword-only options, typed; checked by the registry before the call.

A folder that does not look like the corpus raises NotTheCorpus saying what was expected and what was found;
:mod:`multiemo.data.locate` then looks near it, but not above it where the registered fact ``above`` is false.
"""

from __future__ import annotations

from multiemo.data.corpora import (
    afew,
    affectnet,
    chsims,
    ckplus,
    cmumosei,
    cmumosi,
    cremad,
    dailydialog,
    emodb,
    emorynlp,
    emotiontalk,
    enterface05,
    esd,
    fer2013,
    ferplus,
    folders,
    goemotions,
    hfdataset,
    iemocap,
    meld,
    mer2023,
    mspimprov,
    msppodcast,
    rafdb,
    ravdess,
    savee,
    table,
    tess,
)

__all__ = [
    "afew",
    "affectnet",
    "chsims",
    "ckplus",
    "cmumosei",
    "cmumosi",
    "cremad",
    "dailydialog",
    "emodb",
    "emorynlp",
    "emotiontalk",
    "enterface05",
    "esd",
    "fer2013",
    "ferplus",
    "folders",
    "goemotions",
    "hfdataset",
    "iemocap",
    "meld",
    "mer2023",
    "mspimprov",
    "msppodcast",
    "rafdb",
    "ravdess",
    "savee",
    "table",
    "tess",
]
