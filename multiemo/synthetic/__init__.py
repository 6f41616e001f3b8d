"""The embedded synthetic corpus: real media files of drawn faces, synthesised voices and templated sentences.

With it the whole path, from media file to fused prediction, runs and is tested without any download. Figures measured
on it say nothing about people.
"""

from __future__ import annotations

from multiemo.synthetic.corpus import make_corpus

__all__ = ["make_corpus"]
