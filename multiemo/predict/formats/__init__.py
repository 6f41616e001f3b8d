"""The file formats of a timeline, one module for each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from multiemo.errors import ConfigError
from multiemo.files import write_atomically
from multiemo.predict.formats.elan import eaf
from multiemo.predict.formats.subtitles import srt, vtt
from multiemo.predict.formats.table import csv_table
from multiemo.predict.formats.textgrid import textgrid
from multiemo.predict.timeline.captions import plain
from multiemo.predict.timeline.contents import Entry
from multiemo.predict.timeline.page import render_page
from multiemo.predict.timeline.picture import draw_png
from multiemo.predict.traces import Traces

__all__ = ["FORMATS", "Entry", "write_timeline"]


def _json(entry: Entry) -> str:
    """The prediction JSON of one input; the bytes of a file name that is not UTF-8 are kept as escapes."""
    text = json.dumps({"inputs": [entry]}, indent=2, ensure_ascii=False) + "\n"
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


#: {suffix in lower case: function of (entry, traces, path) that returns the content of the file}.
FORMATS: dict[str, Callable[[Entry, Traces, Path], str | bytes]] = {
    ".json": lambda entry, traces, path: _json(entry),
    ".csv": lambda entry, traces, path: plain(csv_table(entry)),
    ".srt": lambda entry, traces, path: srt(entry),
    ".vtt": lambda entry, traces, path: vtt(entry),
    ".textgrid": lambda entry, traces, path: textgrid(entry),
    ".eaf": lambda entry, traces, path: eaf(entry, path),
    ".png": lambda entry, traces, path: draw_png(entry, traces),
    ".html": lambda entry, traces, path: plain(render_page(entry, traces)),
}


def write_timeline(entry: Entry, path: str | Path, traces: Traces | None = None) -> Path:
    """Write the timeline of one input atomically, in the format of the file's suffix.

    Args:
        entry: one entry of ``inputs`` in the prediction JSON.
        path: file with one of the suffixes in ``FORMATS``, in upper or lower case; its folder is created.
        traces: sound and faces for ``.png`` and ``.html``, which leave them out if they are not given.

    Returns:
        The path.

    Raises:
        ConfigError: no format has this suffix, or the file cannot be written.

    Example::

        write_timeline(model.predict("talk.mp4"), "talk.TextGrid")
    """
    path = Path(path)
    make = FORMATS.get(path.suffix.lower())
    if make is None:
        raise ConfigError(f"{path}: no timeline format has the suffix {path.suffix!r}; choices: {', '.join(FORMATS)}")
    content = make(entry, traces or Traces(), path)
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    try:
        write_atomically(path, data, error=ConfigError)
    except ValueError as error:  # a name that no file can have
        raise ConfigError(f"{path}: cannot be written: {error}; choose another place") from None
    return path
