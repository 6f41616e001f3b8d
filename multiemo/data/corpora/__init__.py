"""Corpus adapters: functions that convert a corpus folder into clips. Importing this package registers all of them.

An adapter is a function ``(root, skip, *, options) -> Iterator[Clip]`` registered under the name of its corpus:

- ``root``: the corpus folder as published. Paths in the clips are relative to it (POSIX form).
- ``skip``: to be called with (file or row, reason) for everything that is left out.
- ``made`` (optional parameter): returns a writable folder for media and features that have to be extracted first; the
  paths of such files are absolute.
- ``became`` (optional parameter): to be called with (label as written, mapped label or ``None``) if labels are free
  words.
- typed keyword-only options, checked by the registry before the call.

For a folder that does not look like the corpus, an adapter raises NotTheCorpus with what was expected and found.
:mod:`multiemo.data.corpora.locate` then searches near that folder, but not above it if the registered fact ``above`` is
false.
"""

from __future__ import annotations

from multiemo.registry import corpora

#: The module of each adapter; the last component is the name of the adapter.
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
#: Additional facts registered with an adapter.
_FACTS: dict[str, dict[str, bool]] = {"folders": {"above": False}}
for _module in _MODULES:
    _name = _module.rpartition(".")[2]
    corpora.announce(_name, _module, **_FACTS.get(_name, {}))
