"""Near-duplicate groups counted out in plain Python from the definition. Imports nothing of piq_bench."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import imagehash
from PIL import Image


def two_passes(image: Image.Image) -> Image.Image:
    """The resize of the definition: width first, then height, in two calls, so that their order is fixed."""
    grey = image.convert("L")
    return grey.resize((32, grey.height), Image.Resampling.LANCZOS).resize((32, 32), Image.Resampling.LANCZOS)


def lanczos_weights(length: int) -> list[list[float]]:
    """Pillow's weights of `length` pixels for each of 32, in its order of operations (libImaging/Resample.c)."""
    scale = length / 32
    filter_scale = max(scale, 1.0)
    support = 3.0 * filter_scale
    inverse = 1.0 / filter_scale
    weights = []
    for out in range(32):
        center = (out + 0.5) * scale
        first, last = max(int(center - support + 0.5), 0), min(int(center + support + 0.5), length)
        line = [windowed_sinc((x - center + 0.5) * inverse) for x in range(first, last)]
        total = 0.0
        for weight in line:
            total += weight
        fixed = [weight / total * (1 << 22) for weight in line]
        whole = [int(weight - 0.5 if weight < 0 else weight + 0.5) for weight in fixed]
        weights.append([0.0] * first + [weight / (1 << 22) for weight in whole] + [0.0] * (length - last))
    return weights


def windowed_sinc(x: float) -> float:
    """Pillow's lanczos_filter."""
    if not -3.0 <= x < 3.0:
        return 0.0
    return sinc(x) * sinc(x / 3.0)


def sinc(x: float) -> float:
    """Pillow's sinc_filter."""
    if x == 0.0:
        return 1.0
    x *= math.pi
    return math.sin(x) / x


def hash_by_imagehash(image: Image.Image) -> int:
    return int(str(imagehash.phash(two_passes(image))), 16)


def native_hash(image: Image.Image) -> int:
    """The hash that the installed Pillow gives."""
    return int(str(imagehash.phash(image)), 16)


def distance(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def pairs_within(hashes: Sequence[int], threshold: int) -> set[tuple[int, int, int]]:
    return {
        (i, j, distance(hashes[i], hashes[j]))
        for i, j in combinations(range(len(hashes)), 2)
        if distance(hashes[i], hashes[j]) <= threshold
    }


@dataclass(frozen=True)
class Image64:
    """One test image as the rules see it."""

    phash: int
    bytes_hash: int = 0
    quality: float = 20.0
    readable: bool = True
    is_query: bool = False
    identity: str = ""
    source: str = ""
    camera: str = ""
    junk: bool = False


@dataclass(frozen=True)
class Rules:
    threshold: int
    within: bool = False
    min_quality: float | None = None
    same_camera: bool = False
    any_bits: bool = False  # a hash other than phash: any number of bits may be set, but not none or all


def near(one: Image64, other: Image64, rules: Rules) -> bool:
    """Whether two images are directly near-duplicates."""
    if not (one.readable and other.readable) or (rules.within and one.source != other.source):
        return False
    weak = [
        (image.phash.bit_count() in (0, 64) if rules.any_bits else image.phash.bit_count() != 32)
        or image.quality < (rules.min_quality or 0)
        for image in (one, other)
    ]
    if any(weak):
        return all(weak) and one.bytes_hash != 0 and one.bytes_hash == other.bytes_hash
    return distance(one.phash, other.phash) <= rules.threshold


def groups(images: Sequence[Image64], rules: Rules) -> list[int]:
    """Row of the first image of each image's component, by repeated lowering."""
    number = list(range(len(images)))
    changed = True
    while changed:
        changed = False
        for i, j in combinations(range(len(images)), 2):
            if number[i] != number[j] and near(images[i], images[j], rules):
                number[i] = number[j] = min(number[i], number[j])
                changed = True
    return number


def diagnostics(images: Sequence[Image64], rules: Rules) -> dict[str, int | None]:
    """Every figure of one threshold."""
    number = groups(images, rules)
    members = {first: [i for i, n in enumerate(number) if n == first] for first in set(number)}
    several = [rows for rows in members.values() if len(rows) > 1]
    largest = max(members.values(), key=lambda rows: (len(rows), -rows[0]))
    labelled = any(image.is_query and not image.junk and image.identity for image in images)
    queries = [i for i, q in enumerate(images) if q.is_query and not q.junk and (q.identity or not labelled)]
    gallery = [i for i, g in enumerate(images) if not g.is_query and not g.junk]
    in_group = {(q, g) for q in queries for g in gallery if number[q] == number[g]}
    direct = {(q, g) for q in queries for g in gallery if near(images[q], images[g], rules)}
    positives = {
        q: {g for g in gallery if images[q].identity and is_positive(images[q], images[g], rules)} for q in queries
    }
    asked = [q for q in queries if positives[q]]
    sources = [len({images[i].source for i in rows} - {""}) for rows in members.values()]
    people = [len({images[i].identity for i in rows} - {""}) for rows in members.values()]
    farthest = [distance(images[i].phash, images[j].phash) for i, j in combinations(largest, 2)]
    same_group = [pair for rows in several for pair in combinations(rows, 2)]
    return {
        "groups": len(several),
        "grouped_images": sum(len(rows) for rows in several),
        "largest": len(largest),
        "farthest": max(farthest, default=None),
        "same_group_pairs": len(same_group),
        "pairs_beyond": sum(not near(images[i], images[j], rules) for i, j in same_group),
        "groups_across_sources": sum(n > 1 for n in sources),
        "most_sources": max(sources),
        "groups_across_identities": sum(n > 1 for n in people) if labelled else None,
        "most_identities": max(people) if labelled else None,
        "gallery_excluded": len({g for _, g in in_group}),
        "gallery_excluded_directly": len({g for _, g in direct}),
        "exclusions": len(in_group),
        "exclusions_directly": len(direct),
        "queries_lost": sum(all((q, g) in in_group for g in positives[q]) for q in asked) if labelled else None,
        "queries_lost_directly": sum(all((q, g) in direct for g in positives[q]) for q in asked) if labelled else None,
    }


def is_positive(query: Image64, candidate: Image64, rules: Rules) -> bool:
    same_camera = rules.same_camera and query.camera != "" and query.camera == candidate.camera
    return query.identity == candidate.identity and not same_camera
