"""Knows the files and folders that file managers and notebooks leave behind, which every reader passes over."""

LITTER = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name is litter: one of LITTER, or a name that begins with a dot.

    >>> is_litter("._0001_c1s1_000151_01.jpg"), is_litter("0001_c1s1_000151_01.jpg")
    (True, False)
    """
    return name.startswith(".") or name in LITTER
