"""Recognise media files by their first bytes, for files found in a folder.

Signatures are from the formats' specifications, as collected in https://www.garykessler.net/library/file_sigs.html
and in FFmpeg's demuxers.
"""

from __future__ import annotations

import stat
from pathlib import Path

from multiemo.media.container import is_text
from multiemo.media.endings import MEDIA, SOURCES
from multiemo.media.pictures.animated import picture_format

#: Number of bytes read from the beginning of a file: enough for three packets of MPEG-TS.
_HEAD_BYTES = 1024
_STARTS = (
    b"\x1aE\xdf\xa3", b"OggS", b"fLaC", b"ID3", b"#!AMR", b"caff", b"0&\xb2u\x8ef\xcf\x11", b"FLV\x01",
    b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"\x06\x0e+4", b".RMF", b".ra\xfd", b".snd", b"wvpk", b"TTA1", b"TTA2",
    b"MAC ", b"MP+", b"MPCK", b"DSD ", b"FRM8", b"YUV4MPEG2", b"DKIF", b"nut/multimedia container", b"ADIF", b"EA3\x03",
    b"\x7f\xfe\x80\x01", b"Creative Voice File", b"NIST_1A", b"riff.\x91\xcf\x11", b"NSVf", b"NSVs", b"ajkg", b"tBaK",
    b"\x1f\x07\x00?", b"\x1f\x07\x00\xbf", b"\xb7\xd8\x00 7I\xda\x11", b"\x00\x00\x00\x01g", b"\x00\x00\x00\x01'",
    b"\x00\x00\x00\x01@\x01", b"\x00\x00\x00\x00\x01\xbc", b"DHAV",
    b"farbfeld",
)  # fmt: skip
#: Form types of RIFF and IFF files, and the atoms at the beginning of QuickTime and related formats.
_RIFF = (b"WAVE", b"AVI ", b"AVIX", b"AMV ", b"CDXA", b"QLCM")
_IFF = (b"AIFF", b"AIFC", b"8SVX", b"16SV")
_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
#: MPEG-TS: length of a packet and offset of the sync byte in it, bytes.
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))
_ARCHIVES = (b"PK\x03\x04", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"(\xb5/\xfd")


def why_no_media(file: Path) -> str | None:
    """Return the reason why a file is not audio, video or a picture; ``None`` if it is.

    The content decides. If it is inconclusive, the file extension does.

    Args:
        file: any path.
    """
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            return "is a device or a pipe"
        ending = file.suffix.lower()
        if ending in MEDIA - SOURCES:
            return None
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except FileNotFoundError:
        return "is a link to a file that is not there"
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    if _is_media(head) or picture_format(file) is not None:
        return None
    if not head:
        return "is empty (0 bytes)"
    if head.startswith(_ARCHIVES):
        return "is an archive; unpack it"
    if is_text(head):
        return "is text"
    return None if ending in MEDIA else "is not a known audio, video or picture format"


def _is_media(head: bytes) -> bool:
    """Whether the first bytes are those of an audio or video file."""
    if head.startswith(_STARTS):
        return True
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return head[8:12] in _RIFF
    if head[:4] == b"FORM":
        return head[8:12] in _IFF
    if head[4:8] in _ATOMS:
        return True
    if any(len(head) > 2 * size and head[at::size][:3] == b"GGG" for size, at in _TS_PACKETS):
        return True
    return _is_mpeg_audio(head)


def _is_mpeg_audio(head: bytes) -> bool:
    """Whether the first bytes are those of MP2, MP3 or AAC without a container."""
    if len(head) < 8 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    if head[1] & 0xF6 == 0xF0:  # ADTS
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        return length > 7 and head[length : length + 2] in (b"", head[:2])
    version, layer, rate, sampling = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer in (1, 2) and rate not in (0, 15) and sampling != 3
