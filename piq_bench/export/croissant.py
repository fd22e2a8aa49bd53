"""Describes a data set folder in Croissant 1.1: JSON-LD that dataset search engines index and data loaders read.

The description lists every table with its SHA-256, the images as a file set, and three kinds of records: annotations
with a field per column, images with their content, and near-duplicate groups. The labels of each task are an
enumeration. The organiser supplies only what the files do not say: creators, web page and date of publication.
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
from piq_bench.group.stored import CSV_MARK, parameters_file
from piq_bench.images.folder import images_folder
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.read.annotations import LABEL_SEPARATOR
from piq_bench.read.table import read_table
from piq_bench.read.vocabulary import FILE as VOCABULARY
from piq_bench.records import GALLERY, GIVEN, QUERY, RETRIEVAL, SPLITS, TRAIN, Benchmark, Groups, Task
from piq_bench.write.files import sha256_of

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
NAME = "croissant.json"
FORMATS = {
    ".csv": "text/csv",
    ".parquet": "application/x-parquet",
    ".toml": "application/toml",
    ".json": "application/json",
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

# From appendix 1 of the specification, which asks every file to define the terms that it uses.
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
    """Facts about a data set that only the organiser knows.

    Attributes:
        url: web page of the data set.
        people, organisations: creators of the data set; at least one person or organisation.
        published: date of publication.
        description: description in words; None for a summary made from the data.
        licence: web address of the licence; None for the licence in benchmark.toml.
        cite: citation, preferably in BibTeX; None for none.
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
        path: path of the JSON-LD file; it belongs beside benchmark.toml, since its addresses are relative to it.
        benchmark: the data set.
        folder: folder of the data set.
        about: facts that the files do not contain.
        force: replace an existing file.

    Returns:
        Notes for the user.

    Raises:
        BadDataset: if the data set is not a folder with benchmark.toml, or has no licence.
        BadUsage: if the file exists.
    """
    document = croissant(benchmark, folder, about)
    write_file(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode(), force=force)
    groups = _table(folder, "groups")
    if groups is not None and _has_comment(groups):
        return [
            f"{groups.name} begins with a comment, which Croissant cannot skip: listed as a file without records; "
            "`piq groups` of this version writes it without"
        ]
    return []


def croissant(benchmark: Benchmark, folder: Path, about: About) -> Json:
    """The content of the JSON-LD file."""
    annotations = _table(folder, "annotations")
    if benchmark.layout != "folder" or annotations is None:
        remedy = "a folder with benchmark.toml and annotations; `piq import auto` writes one of a public data set"
        found = f"is a data set of layout {quoted(benchmark.layout)}"
        raise BadDataset(benchmark.name, [Problem("layout", "data set", found, remedy)])
    licence = about.licence or _licence(benchmark)
    groups = _table(folder, "groups")
    pictures = _picture_patterns(benchmark)
    records = [_splits(), *map(_labels, benchmark.classification_tasks), _annotations(benchmark, annotations)]
    if pictures:
        records.append(_pictures(benchmark, annotations))
    if groups is not None and benchmark.groups is not None and not _has_comment(groups):
        records.append(_groups(groups, benchmark.groups))
    files = [folder / VOCABULARY, annotations, *([] if groups is None else [groups])]
    if groups is not None and groups.suffix == ".csv" and parameters_file(groups).is_file():
        files.append(parameters_file(groups))
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
    """Patterns of the image files, such as "images/*.jpg", where "*" matches folders too; empty without image files."""
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
        "description": "All images, in the folder images/ and folders inside it.",
        "encodingFormat": _scalar_or_list(sorted(formats)),
        "includes": _scalar_or_list(patterns),
    }


def _splits() -> Json:
    fields = [
        _field("splits/name", "Name of the split.", TEXT),
        _field("splits/url", "Purpose of the split.", "sc:URL"),
    ]
    data = [{"splits/name": name, "splits/url": SPLIT_TERMS[name]} for name in SPLITS]
    text = "Query images are searched for in the gallery. Query and gallery together are the test set."
    return _records("splits", text, "splits/name", fields, dataType="cr:Split", data=data)


def _labels(task: Task) -> Json:
    name = f"labels-{task.name}"
    data = [{f"{name}/name": label} for label in task.labels]
    fields = [_field(f"{name}/name", "The label.", TEXT)]
    text = f"Labels of {task.name}, in the order of a submission's columns."
    return _records(name, text, f"{name}/name", fields, dataType="sc:Enumeration", data=data)


def _annotations(benchmark: Benchmark, table: Path) -> Json:
    image = _column("annotations", "image", "Path of the image, relative to images/.", table)
    fields = [image, *_columns("annotations", benchmark, table)]
    return _records("annotations", "The annotations of each image.", "annotations/image", fields)


def _pictures(benchmark: Benchmark, table: Path) -> Json:
    files = {"fileSet": {"@id": "picture-files"}}
    # A loader also applies the expression to the names in the table after joining both: it must leave those unchanged.
    path = files | {"extract": {"fileProperty": "fullpath"}, "transform": {"regex": "^(?:images/)?(.+)$"}}
    name = _field("pictures/image", "Path of the image, relative to images/.", TEXT) | {
        "source": path,
        "references": {"fileObject": {"@id": table.name}, "extract": {"column": "image"}},
    }
    content = _field("pictures/content", "The image.", "sc:ImageObject") | {
        "source": files | {"extract": {"fileProperty": "content"}}
    }
    fields = [name, content, *_columns("pictures", benchmark, table)]
    return _records("pictures", "The images, with the annotations of each.", "pictures/image", fields)


def _columns(records: str, benchmark: Benchmark, table: Path) -> Iterator[Json]:
    """A field for each column of the annotations except the first, the image."""
    yield _column(records, "split", "train, query or gallery.", table) | _refers("splits/name")
    for task in benchmark.tasks:
        if task.kind == RETRIEVAL:
            text = "Identity of the person; empty where unknown."
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
        ("source", benchmark.source, "Source of the image, such as a film."),
        ("sequence", benchmark.sequence, "Shot or track to which the image belongs."),
        ("camera", benchmark.camera, "Camera that took the image."),
    ):
        if values is not None:
            yield _column(records, name, text, table)


def _groups(table: Path, groups: Groups) -> Json:
    cells = read_table(table, comment=True)[0].columns["group"].distinct
    numbered = all(cell.isdecimal() for cell in cells)  # other tools may name groups by any text
    fields = [_column("groups", "image", "Path of the image, as in the annotations.", table)]
    if groups.grouping != GIVEN:
        fields.append(_column("groups", groups.grouping.hash, "Perceptual hash: 64 bits in hexadecimal.", table))
    text = f"Group {'number' if numbered else 'name'}; images of the same group are near-duplicates."
    fields.append(_column("groups", "group", text, table) | ({"dataType": INTEGER} if numbered else {}))
    return _records("groups", "Groups of near-duplicates among the query and gallery images.", "groups/image", fields)


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
    """A reference to a field of other records, in the form that the reference implementation reads."""
    return {"references": {"field": {"@id": field}}}


def _field(name: str, description: str, data_type: str) -> Json:
    return {"@type": "cr:Field", "@id": name, "name": name, "description": description, "dataType": data_type}


def _description(benchmark: Benchmark) -> str:
    n_images = [int((benchmark.split == split).sum()) for split in (TRAIN, QUERY, GALLERY)]
    tasks = ", ".join(task.name for task in benchmark.tasks)
    return (
        f"Images of people, annotated for {tasks}: {n_images[0]} training images, {n_images[1]} queries and "
        f"{n_images[2]} gallery images of {len(benchmark.identities)} known people. Version {benchmark.version}, "
        f"fingerprint {fingerprint(benchmark)}."
    )


def _licence(benchmark: Benchmark) -> str | Json:
    """The web address of the licence if it is known, else its text."""
    if not benchmark.licence:
        remedy = "licence = '...' in benchmark.toml, or --licence"
        raise BadDataset(benchmark.name, [Problem("no-licence", VOCABULARY, "names no licence", remedy)])
    if SPDX.fullmatch(benchmark.licence):
        return f"https://spdx.org/licenses/{benchmark.licence}.html"
    if benchmark.licence.startswith(("https://", "http://")):
        return benchmark.licence
    return {"@type": "CreativeWork", "name": benchmark.licence}


def _version(version: str) -> str:
    """Croissant asks for three numbers: "1" becomes "1.0.0"."""
    return version + ".0" * (2 - version.count(".")) if SHORT_VERSION.fullmatch(version) else version


def _table(folder: Path, name: str) -> Path | None:
    return next((path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").is_file()), None)


def _has_comment(table: Path) -> bool:
    with table.open("rb") as stream:
        return stream.read(len(CSV_MARK)) == CSV_MARK.encode()


def _scalar_or_list(values: Sequence[str]) -> str | list[str]:
    """JSON-LD writes a list of one value as the value itself."""
    return values[0] if len(values) == 1 else list(values)
