"""A data set of our layout to Croissant 1.1: JSON-LD that search engines index and that loaders read the data by.

What comes out names every file with its SHA-256, the pictures as a set, and three kinds of records: annotations with a
field per column, pictures with their content, and near-duplicate groups. Labels come from the vocabulary, as
enumerations. Only what an organiser has to say of the data set (who, where, when) is asked for.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any

from piq_bench.errors import BadDataset, Problem, quoted
from piq_bench.export.bundle import SUFFIXES, write_file
from piq_bench.group.stored import CSV_MARK
from piq_bench.images.folder import images_folder
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.read.annotations import LABEL_SEPARATOR
from piq_bench.read.vocabulary import FILE as VOCABULARY
from piq_bench.records import GALLERY, QUERY, RETRIEVAL, SPLITS, TRAIN, Benchmark, Task
from piq_bench.write.files import sha256_of

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
NAME = "croissant.json"
FORMATS = {
    ".csv": "text/csv",
    ".parquet": "application/x-parquet",
    ".toml": "application/toml",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".gif": "image/gif",
}
SPLIT_TERMS = {"train": "cr:TrainingSplit", "query": "cr:TestSplit", "gallery": "cr:TestSplit"}
SPDX = re.compile(r"CC0-1\.0|CC-BY(-NC)?(-ND|-SA)?-[1-4]\.0|ODbL-1\.0|ODC-By-1\.0|PDDL-1\.0|MIT|Apache-2\.0")
SHORT_VERSION = re.compile(r"[0-9]+(\.[0-9]+)?")
TEXT, INTEGER, LABEL = "sc:Text", "sc:Integer", "cr:Label"
Json = dict[str, Any]

# Appendix 1 of the specification: every file carries the terms that it uses.
CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


@dataclass(frozen=True)
class About:
    """What only the organiser knows.

    Attributes:
        url: the data set's page.
        people, organisations: who made it; at least one of either.
        published: when.
        description: None for one made from the data.
        licence: its address; None for what benchmark.toml says.
        cite: a citation, best as BibTeX; None for none.
    """

    url: str
    people: tuple[str, ...]
    organisations: tuple[str, ...]
    published: date
    description: str | None = None
    licence: str | None = None
    cite: str | None = None


def write_croissant(path: Path, benchmark: Benchmark, folder: Path, about: About, *, force: bool = False) -> list[str]:
    """Write the description.

    Args:
        path: of the JSON-LD file, which belongs beside benchmark.toml: its addresses begin there.
        benchmark: as read.
        folder: where it lies.
        about: the rest.
        force: replace a file.

    Returns:
        What a reader should know.

    Raises:
        BadDataset: if the data set has another layout, or no licence.
        BadUsage: if the file is there.
    """
    document = croissant(benchmark, folder, about)
    write_file(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode(), force=force)
    groups = _table(folder, "groups")
    if groups is not None and _has_comment(groups):
        return [f"{groups.name} begins with a comment, which its readers do not know: listed as a file, not as records"]
    return []


def croissant(benchmark: Benchmark, folder: Path, about: About) -> Json:
    """The content of the file."""
    annotations = _table(folder, "annotations")
    if benchmark.layout != "folder" or annotations is None:
        remedy = "a folder with benchmark.toml and annotations.csv or .parquet"
        found = f"is a data set of layout {quoted(benchmark.layout)}"
        raise BadDataset(benchmark.name, [Problem("layout", "data set", found, remedy)])
    licence = about.licence or _licence(benchmark)
    groups = _table(folder, "groups")
    pictures = _picture_patterns(benchmark)
    records = [_splits(), *map(_labels, benchmark.classification_tasks), _annotations(benchmark, annotations)]
    if pictures:
        records.append(_pictures(benchmark, annotations))
    if groups is not None and benchmark.groups is not None and not _has_comment(groups):
        records.append(_groups(groups))
    files = [folder / VOCABULARY, annotations, *([] if groups is None else [groups])]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": benchmark.name,
        "description": about.description or _description(benchmark),
        **({} if about.cite is None else {"citeAs": about.cite}),
        "license": licence,
        "url": about.url,
        "version": _version(benchmark.version),
        "creator": [
            *({"@type": "Person", "name": name} for name in about.people),
            *({"@type": "Organization", "name": name} for name in about.organisations),
        ],
        "datePublished": about.published.isoformat(),
        "keywords": ["portrait interpretation", *(task.name for task in benchmark.tasks)],
        "distribution": [*map(_file, files), *([_picture_files(pictures)] if pictures else [])],
        "recordSet": records,
    }


def _file(path: Path) -> Json:
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": FORMATS[path.suffix],
        "sha256": sha256_of(path),
    }


def _picture_patterns(benchmark: Benchmark) -> list[str]:
    """Of pictures that are there: "images/*.jpg"; the star takes folders in as well."""
    if images_folder(benchmark) is None:
        return []
    suffixes = {PurePosixPath(image).suffix for image in benchmark.images}
    return [f"images/*{suffix}" for suffix in sorted(suffixes) if suffix.lower() in FORMATS]


def _picture_files(patterns: Sequence[str]) -> Json:
    formats = {FORMATS[PurePosixPath(pattern).suffix.lower()] for pattern in patterns}
    return {
        "@type": "cr:FileSet",
        "@id": "picture-files",
        "name": "picture-files",
        "description": "All pictures, in folders below images/.",
        "encodingFormat": _one_or_all(sorted(formats)),
        "includes": _one_or_all(patterns),
    }


def _splits() -> Json:
    fields = [_field("splits/name", "The split.", TEXT), _field("splits/url", "What it is for.", "sc:URL")]
    data = [{"splits/name": name, "splits/url": SPLIT_TERMS[name]} for name in SPLITS]
    text = "Queries ask who else is the same person; the gallery answers. Both together are the test set."
    return _records("splits", text, "splits/name", fields, dataType="cr:Split", data=data)


def _labels(task: Task) -> Json:
    name = f"labels-{task.name}"
    data = [{f"{name}/name": label} for label in task.labels]
    fields = [_field(f"{name}/name", "The label.", TEXT)]
    text = f"Labels of {task.name}, in the order of a submission's columns."
    return _records(name, text, f"{name}/name", fields, dataType="sc:Enumeration", data=data)


def _annotations(benchmark: Benchmark, table: Path) -> Json:
    image = _column("annotations", "image", "Name of the picture, relative to images/.", table)
    fields = [image, *_columns("annotations", benchmark, table)]
    return _records("annotations", "What is known of each picture.", "annotations/image", fields)


def _pictures(benchmark: Benchmark, table: Path) -> Json:
    files = {"fileSet": {"@id": "picture-files"}}
    # A loader applies the expression to names of the table as well, once both are joined: it lets them through.
    path = files | {"extract": {"fileProperty": "fullpath"}, "transform": {"regex": "^(?:images/)?(.+)$"}}
    name = _field("pictures/image", "Name of the picture, relative to images/.", TEXT) | {
        "source": path,
        "references": {"fileObject": {"@id": table.name}, "extract": {"column": "image"}},
    }
    content = _field("pictures/content", "The picture.", "sc:ImageObject") | {
        "source": files | {"extract": {"fileProperty": "content"}}
    }
    fields = [name, content, *_columns("pictures", benchmark, table)]
    return _records("pictures", "The pictures, with what is known of each.", "pictures/image", fields)


def _columns(records: str, benchmark: Benchmark, table: Path) -> Iterator[Json]:
    """A field for each column of the annotations but the first."""
    yield _column(records, "split", "train, query or gallery.", table) | _refers("splits/name")
    for task in benchmark.tasks:
        if task.kind == RETRIEVAL:
            text = "Who it is; empty where nobody said so."
            yield _column(records, "identity", text, table) | {"dataType": [TEXT, LABEL]}
        elif task.multi_label:
            text = f"Labels of {task.name} (see labels-{task.name}); '-' for none of them, empty where not annotated."
            field = _column(records, task.name, text, table)
            field["source"]["transform"] = {"separator": LABEL_SEPARATOR}
            yield field | {"dataType": [TEXT, LABEL], "isArray": True, "arrayShape": "-1"}
        else:
            text = f"Label of {task.name}; empty where not annotated."
            field = _column(records, task.name, text, table) | _refers(f"labels-{task.name}/name")
            yield field | {"dataType": [TEXT, LABEL]}
    for name, values, text in (
        ("source", benchmark.source, "Where the picture comes from, such as a film."),
        ("sequence", benchmark.sequence, "The shot or track that it is a frame of."),
        ("camera", benchmark.camera, "The camera that took it."),
    ):
        if values is not None:
            yield _column(records, name, text, table)


def _groups(table: Path) -> Json:
    fields = [
        _column("groups", "image", "Name of the picture, as in annotations.", table),
        _column("groups", "phash", "Perceptual hash of 64 bits, in hex.", table),
        _column("groups", "group", "Pictures of equal number are near-duplicates.", table) | {"dataType": INTEGER},
    ]
    return _records("groups", "Near-duplicates among query and gallery.", "groups/image", fields)


def _records(name: str, description: str, key: str, fields: Sequence[Json], **more: object) -> Json:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        **more,
        "key": {"@id": key},
        "field": list(fields),
    }


def _column(records: str, column: str, description: str, table: Path) -> Json:
    source = {"fileObject": {"@id": table.name}, "extract": {"column": column}}
    return _field(f"{records}/{column}", description, TEXT) | {"source": source}


def _refers(field: str) -> Json:
    """To a field of other records, in the form that the reference implementation reads."""
    return {"references": {"field": {"@id": field}}}


def _field(name: str, description: str, data_type: str) -> Json:
    return {"@type": "cr:Field", "@id": name, "name": name, "description": description, "dataType": data_type}


def _description(benchmark: Benchmark) -> str:
    n_images = [int((benchmark.split == split).sum()) for split in (TRAIN, QUERY, GALLERY)]
    tasks = ", ".join(task.name for task in benchmark.tasks)
    return (
        f"Pictures of people, labelled for {tasks}: {n_images[0]} to train on, {n_images[1]} queries and {n_images[2]} "
        f"gallery images to test on, {len(benchmark.identities)} people known. Version {benchmark.version}, "
        f"fingerprint {fingerprint(benchmark)}."
    )


def _licence(benchmark: Benchmark) -> str | Json:
    """Its address where that is known, else its text."""
    if not benchmark.licence:
        remedy = "licence = '...' in benchmark.toml, or --licence"
        raise BadDataset(benchmark.name, [Problem("no-licence", VOCABULARY, "says nothing of a licence", remedy)])
    if SPDX.fullmatch(benchmark.licence):
        return f"https://spdx.org/licenses/{benchmark.licence}.html"
    if benchmark.licence.startswith(("https://", "http://")):
        return benchmark.licence
    return {"@type": "CreativeWork", "name": benchmark.licence}


def _version(version: str) -> str:
    """Croissant asks for three numbers: "1" is "1.0.0"."""
    return version + ".0" * (2 - version.count(".")) if SHORT_VERSION.fullmatch(version) else version


def _table(folder: Path, name: str) -> Path | None:
    return next((path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").is_file()), None)


def _has_comment(table: Path) -> bool:
    with table.open("rb") as stream:
        return stream.read(len(CSV_MARK)) == CSV_MARK.encode()


def _one_or_all(values: Sequence[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)
