"""Corpus adapters: a folder on disk -> clips. Importing this package announces all of them.

An adapter is a function ``(root, skip, *, options) -> Iterator[Clip]`` registered under its corpus's name:

- ``root``: the corpus folder as published. Paths in the clips are relative to it (POSIX form).
- ``skip``: called with (file or row, reason) for everything that is left out, so that nothing is lost silently.
- ``made`` (only where an adapter asks for it): a callable giving a writable folder for media and features that must be
  written out first; paths of such files are absolute.
- ``became`` (likewise): to be called with (label as written, label it becomes or ``None``), where labels are the words
  of whoever made the folder.
- keyword-only options, typed; checked by the registry before the call.

A folder that does not look like the corpus raises NotTheCorpus saying what was expected and what was found;
:mod:`multiemo.data.corpora.locate` then looks near it, but not above it where the registered fact ``above`` is false.
"""

from __future__ import annotations

from multiemo.registry import corpora

#: The module of each adapter; its last part is the adapter's name.
_MODULES = (
    "multiemo.data.corpora.audiovisual.afew",
    "multiemo.data.corpora.faces.affectnet",
    "multiemo.data.corpora.sentiment.chsims",
    "multiemo.data.corpora.faces.ckplus",
    "multiemo.data.corpora.sentiment.cmumosei",
    "multiemo.data.corpora.sentiment.cmumosi",
    "multiemo.data.corpora.audiovisual.cremad",
    "multiemo.data.corpora.dialogues.dailydialog",
    "multiemo.data.corpora.voices.emodb",
    "multiemo.data.corpora.dialogues.emorynlp",
    "multiemo.data.corpora.dialogues.emotiontalk",
    "multiemo.data.corpora.audiovisual.enterface05",
    "multiemo.data.corpora.voices.esd",
    "multiemo.data.corpora.faces.fer2013",
    "multiemo.data.corpora.faces.ferplus",
    "multiemo.data.corpora.folders",
    "multiemo.data.corpora.texts.goemotions",
    "multiemo.data.corpora.tables.hfdataset",
    "multiemo.data.corpora.dialogues.iemocap",
    "multiemo.data.corpora.dialogues.meld",
    "multiemo.data.corpora.audiovisual.mer2023",
    "multiemo.data.corpora.dialogues.mspimprov",
    "multiemo.data.corpora.voices.msppodcast",
    "multiemo.data.corpora.faces.rafdb",
    "multiemo.data.corpora.audiovisual.ravdess",
    "multiemo.data.corpora.audiovisual.savee",
    "multiemo.data.corpora.tables.table",
    "multiemo.data.corpora.voices.tess",
)
#: Facts that an adapter registers beside its name.
_FACTS: dict[str, dict[str, bool]] = {"folders": {"above": False}}
for _module in _MODULES:
    _name = _module.rpartition(".")[2]
    corpora.announce(_name, _module, **_FACTS.get(_name, {}))
