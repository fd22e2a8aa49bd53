"""The labels of another program's file, and how its names of images are matched with ours."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

Labels = dict[tuple[str, str, str], tuple[str, ...]]  # by annotator, task and image


@dataclass(frozen=True)
class Given:
    """What a file says.

    Attributes:
        labels: names of labels by annotator, task and image id; of an identity, one name.
        unknown: number of labels of images that the data set does not have.
    """

    labels: Labels
    unknown: int


class Names:
    """Finds images by the names that other programs give them: the id, or what follows the folders before it.

    A base name alone is enough where only one image has it.
    """

    def __init__(self, images: Iterable[str]) -> None:
        self.known = {str(image) for image in images}
        self.by_base: dict[str, list[str]] = {}
        self.by_stem: dict[str, list[str]] = {}
        for image in self.known:
            self.by_base.setdefault(PurePosixPath(image).name, []).append(image)
            self.by_stem.setdefault(image.rpartition(".")[0] or image, []).append(image)

    def find(self, name: str) -> str | None:
        """The image of a name; None if there is none, or several."""
        parts = name.replace("\\", "/").strip("/").split("/")[-16:]
        for first in range(len(parts)):
            if (tail := "/".join(parts[first:])) in self.known:
                return tail
        found = self.by_base.get(parts[-1], [])
        return found[0] if len(found) == 1 else None

    def find_stem(self, name: str) -> str | None:
        """The image whose id without its extension is a name."""
        found = self.by_stem.get(name, [])
        return found[0] if len(found) == 1 else None
