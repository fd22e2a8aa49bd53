"""Recognises the files and folders that file managers and other tools leave behind; every reader passes them over."""

NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx"})  # in lower case; Windows writes "Desktop.ini" too


def is_litter(name: str) -> bool:
    """Whether the name of a file or folder is one that tools leave behind: one of NAMES, or one that begins with a dot.

    >>> [name for name in (".DS_Store", "._image.npy", "Thumbs.db", "image.npy", "..") if is_litter(name)]
    ['.DS_Store', '._image.npy', 'Thumbs.db']
    """
    return name.casefold() in NAMES or (name.startswith(".") and name not in (".", ".."))
