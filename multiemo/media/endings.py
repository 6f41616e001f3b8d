"""The table of file extensions and the kind of media that each stands for.

Content takes precedence where it can be recognised (:mod:`multiemo.media.content`). Extensions are for files that are
damaged, of a format without a signature, or not opened yet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

AUDIO = frozenset({
    ".wav", ".flac", ".mp3", ".m4a", ".m4b", ".m4r", ".ogg", ".oga", ".opus", ".aac", ".wma", ".aif", ".aiff", ".aifc",
    ".amr", ".awb", ".caf", ".ac3", ".eac3", ".dts", ".mp2", ".mpga", ".mka", ".weba", ".spx", ".au", ".snd", ".ape",
    ".wv", ".tta", ".mpc", ".gsm", ".voc", ".w64", ".rf64", ".sph", ".3ga", ".ra", ".qcp", ".dss", ".adts",
})  # fmt: skip
VIDEO = frozenset({
    ".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".mpe", ".wmv", ".flv", ".f4v", ".3gp", ".3g2",
    ".ts", ".mts", ".m2ts", ".m2t", ".vob", ".mxf", ".ogv", ".ogm", ".asf", ".rm", ".rmvb", ".divx", ".dv", ".mod",
    ".tod", ".h264", ".264", ".hevc", ".265", ".mjpeg", ".mjpg", ".mj2", ".amv", ".wtv", ".y4m", ".ivf", ".nut",
    ".qt", ".gif", ".apng",
})  # fmt: skip
IMAGE = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".heic", ".heif", ".hif",
    ".avif", ".jxl", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".tga", ".psd", ".exr", ".dng",
    ".cr2", ".nef", ".arw",
})  # fmt: skip
MEDIA = AUDIO | VIDEO | IMAGE
#: Media extensions that source code files use as well.
SOURCES = frozenset({".ts", ".mts"})

#: Captions, in order of preference.
CAPTIONS = (".srt", ".vtt", ".ass", ".ssa", ".ttml", ".dfxp", ".sbv", ".smi", ".sami", ".sub", ".lrc", ".srv1", ".srv3")
#: Files that may be a transcript or anything else.
DATA = (".json", ".json3", ".tsv", ".csv", ".xml")
PLAIN = (".txt",)
TRANSCRIPTS = (*CAPTIONS, *DATA, *PLAIN)

MediaKind = Literal["audio", "video", "image"]


def media_kind(path: Path) -> MediaKind | None:
    """Return the kind of media by the file extension. A format that may be animated counts as video.

    Example:
        >>> media_kind(Path("a.WAV")), media_kind(Path("a.gif")), media_kind(Path("a.txt"))
        ('audio', 'video', None)
    """
    ending = path.suffix.lower()
    kinds: tuple[tuple[MediaKind, frozenset[str]], ...] = (("audio", AUDIO), ("video", VIDEO), ("image", IMAGE))
    return next((kind for kind, endings in kinds if ending in endings), None)
