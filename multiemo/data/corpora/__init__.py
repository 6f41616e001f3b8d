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
:mod:`multiemo.data.locate` then looks near it, but not above it where the registered fact ``above`` is false.
"""

from __future__ import annotations

from multiemo.registry import corpora

#: The module of each adapter; its last part is the adapter's name.
_MODULES = (
    "multiemo.data.corpora.afew",
    "multiemo.data.corpora.affectnet",
    "multiemo.data.corpora.chsims",
    "multiemo.data.corpora.ckplus",
    "multiemo.data.corpora.cmumosei",
    "multiemo.data.corpora.cmumosi",
    "multiemo.data.corpora.cremad",
    "multiemo.data.corpora.dailydialog",
    "multiemo.data.corpora.emodb",
    "multiemo.data.corpora.emorynlp",
    "multiemo.data.corpora.emotiontalk",
    "multiemo.data.corpora.enterface05",
    "multiemo.data.corpora.esd",
    "multiemo.data.corpora.fer2013",
    "multiemo.data.corpora.ferplus",
    "multiemo.data.corpora.folders",
    "multiemo.data.corpora.goemotions",
    "multiemo.data.corpora.hfdataset",
    "multiemo.data.corpora.iemocap",
    "multiemo.data.corpora.meld",
    "multiemo.data.corpora.mer2023",
    "multiemo.data.corpora.mspimprov",
    "multiemo.data.corpora.msppodcast",
    "multiemo.data.corpora.rafdb",
    "multiemo.data.corpora.ravdess",
    "multiemo.data.corpora.savee",
    "multiemo.data.corpora.table",
    "multiemo.data.corpora.tess",
)
#: Facts that an adapter registers beside its name.
_FACTS: dict[str, dict[str, bool]] = {"folders": {"above": False}}
for _module in _MODULES:
    _name = _module.rpartition(".")[2]
    corpora.announce(_name, _module, **_FACTS.get(_name, {}))
