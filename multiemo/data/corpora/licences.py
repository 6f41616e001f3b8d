"""Terms of use of the corpora, as their publishers state them; model cards quote them.

They are a reminder and may have changed: the terms of the copy that somebody has are those that count.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Licence or terms by corpus. A corpus whose publishers state none, or whose statement is unknown to us, is missing.
TERMS: Mapping[str, str] = {
    "afew": "research only, by agreement with the authors; the films have their own rights",
    "affectnet": "non-commercial research only, by agreement with the authors",
    "ckplus": "research only, by agreement with the authors",
    "cremad": "Open Database License 1.0; contents under the Database Contents License 1.0",
    "dailydialog": "CC BY-NC-SA 4.0",
    "emotiontalk": "CC BY-NC-SA 4.0",
    "esd": "research only, by agreement with the authors",
    "ferplus": "MIT for the labels; the pictures are those of FER2013",
    "goemotions": "Apache-2.0",
    "iemocap": "research only, by agreement with the authors",
    "meld": "GPL-3.0; the clips are from a television series that has its own rights",
    "mer2023": "research only, by agreement with the authors",
    "mspimprov": "research only, by agreement with the authors",
    "msppodcast": "by agreement with the authors: academic or commercial licence",
    "rafdb": "non-commercial research only, by agreement with the authors",
    "ravdess": "CC BY-NC-SA 4.0; commercial licences from the authors",
    "synthetic-demo": "none needed: made by multiemo",
    "tess": "CC BY-NC-ND 4.0",
}


def terms_of(corpus: str) -> str:
    """The terms of a corpus, or where to look for them.

    Example:
        >>> terms_of("tess"), terms_of("mine")
        ('CC BY-NC-ND 4.0', 'not known to multiemo; see the terms of the copy that was used')
    """
    return TERMS.get(corpus, "not known to multiemo; see the terms of the copy that was used")
