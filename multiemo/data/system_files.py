"""Which files and folders are none of the user's, by their names: whoever walks through a folder passes them over."""

from __future__ import annotations

#: What systems, shares and picture viewers put into folders, in lower case.
_SYSTEM = {
    "__macosx", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "@eadir", "#recycle", "@recycle",
    "#snapshot", "@tmp", "@sharebin", "$recycle.bin", "recycler", "found.000", "lost+found", "lost.dir", "picasa.ini",
    "zbthumbnail.info", "pspbrwse.jbf", "__pycache__", "system volume information", "icon\r",
}  # fmt: skip


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or none of the user's: ``.name``, ``__MACOSX``, ``@eaDir``."""
    return name.startswith(".") or name.lower() in _SYSTEM
