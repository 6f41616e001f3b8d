"""Names of hidden files and of files that systems create, which are ignored when a folder is searched."""

from __future__ import annotations

#: Names of files and folders created by operating systems, network shares and picture viewers, in lower case.
_SYSTEM = {
    "__macosx", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "@eadir", "#recycle", "@recycle",
    "#snapshot", "@tmp", "@sharebin", "$recycle.bin", "recycler", "found.000", "lost+found", "lost.dir", "picasa.ini",
    "zbthumbnail.info", "pspbrwse.jbf", "__pycache__", "system volume information", "icon\r",
}  # fmt: skip


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden or created by a system: ``.name``, ``__MACOSX``, ``@eaDir``."""
    return name.startswith(".") or name.lower() in _SYSTEM
