"""The embedded synthetic corpus: real media files of drawn faces, synthesised voices and templated sentences.

It exists so that the whole path, from media file to fused prediction, can be run and tested without any download.
Figures measured on it say nothing about people.
"""

from __future__ import annotations

from multiemo.synthetic.corpus import make_corpus

__all__ = ["make_corpus"]
