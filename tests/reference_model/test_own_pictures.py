"""Own pictures: the model that ships answers a folder; files, pages and exports hold the same answers."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from piq_bench.errors import BadDataset, BadUsage
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import Task

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
program = pytest.importorskip("reference_model.__main__")
checkpoints = pytest.importorskip("reference_model.checkpoint")
describing = pytest.importorskip("reference_model.describe")
embedding = pytest.importorskip("reference_model.embed")
flips = pytest.importorskip("reference_model.flip")
files = pytest.importorskip("reference_model.model_file")
known = pytest.importorskip("reference_model.known_weights")
prediction = pytest.importorskip("reference_model.predict")
weights = pytest.importorskip("reference_model.weights")

CPU = torch.device("cpu")
SMALL = files.SHIPPED["small"]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(program.main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def pictures(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pictures in two folders, a file that is none, and a damaged one."""
    target = tmp_path_factory.mktemp("own") / "pictures"
    for place, source in enumerate(sorted((folder / "images").rglob("*.png"))[:5]):
        (target / f"{place % 2}").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target / f"{place % 2}" / f"{place}.PNG")
    (target / "notes.txt").write_text("no picture", encoding="utf-8")
    (target / "1" / "broken.jpg").write_bytes(b"no picture")
    return target


@pytest.fixture(scope="module")
def found(pictures: Path) -> object:
    return embedding.embed_folder(pictures, batch_size=2)


def test_the_model_that_ships_is_the_one_whose_digest_is_published() -> None:
    published = (SMALL.parent / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(SMALL.read_bytes()).hexdigest() in published
    assert SMALL.stat().st_size <= 3_000_000
    state = checkpoints.load(SMALL)
    backbone = [value for key, value in state.model.items() if key.startswith("backbone.") and value.ndim]
    assert 700_000 < sum(value.numel() for value in backbone) < 900_000


def test_every_picture_is_answered_by_name_and_an_unreadable_one_is_left_out(found: object) -> None:
    assert found.images == ["0/0.PNG", "0/2.PNG", "0/4.PNG", "1/1.PNG", "1/3.PNG"]  # type: ignore[attr-defined]
    assert list(found.unreadable) == ["1/broken.jpg"]  # type: ignore[attr-defined]
    assert np.linalg.norm(found.embedding, axis=1) == pytest.approx(np.ones(5), abs=1e-5)  # type: ignore[attr-defined]
    for task in found.tasks:  # type: ignore[attr-defined]
        values = found.probabilities[task.name]  # type: ignore[attr-defined]
        assert values.shape == (5, len(task.labels))
        if not task.multi_label:
            assert values.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-5)


def test_a_folder_gets_the_answers_of_a_data_set(folder: Path) -> None:
    benchmark = read_benchmark(folder)
    for flip in (False, True):
        true, meta = prediction.predict(benchmark, [SMALL], name="x", device=CPU, workers=1, flip=flip)
        own = embedding.embed_folder(folder / "images", "small", flip=flip)
        rows = [own.images.index(image) for image in benchmark.images[benchmark.test_rows]]
        assert own.embedding[rows] == pytest.approx(np.asarray(true.embedding, np.float32), abs=1e-3)
        for task, values in true.scores.items():
            assert own.probabilities[task][rows] == pytest.approx(values, abs=1e-5)
        assert meta.get("flip", False) == flip


def test_mirror_images_are_averaged_with_their_sides_exchanged(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [model] = embedding.load_models([SMALL], CPU)
    options = model.tasks, model.checkpoint.configuration
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 128, 64, 3)).astype(np.uint8))
    exchanged = {"gender": np.array([1, 0])}
    monkeypatch.setattr(
        prediction, "flipped_labels", lambda task: exchanged.get(task.name, np.arange(len(task.labels)))
    )
    feature, scores = prediction.answer_batch(model.network, pixels, *options, flip=True)
    mirrored = torch.from_numpy(pixels.numpy()[:, :, ::-1].copy())
    one, other = (prediction.infer_batch(model.network, view, options[1]) for view in (pixels, mirrored))
    place = [task.name for task in model.tasks].index("gender")
    first, second = one.logits[place].softmax(1).numpy(), other.logits[place].softmax(1).numpy()
    assert scores["gender"].numpy() == pytest.approx((first + second[:, ::-1]) / 2, abs=1e-6)
    total = (one.necks[0] + other.necks[0]).numpy()
    assert feature.numpy() == pytest.approx(total / np.linalg.norm(total, axis=1, keepdims=True), abs=1e-5)


def test_embed_writes_names_features_and_labels(pictures: Path, found: object, tmp_path: Path) -> None:
    done = call("embed", pictures, "--out", tmp_path / "f.npz", "--workers", "1", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"wrote {tmp_path / 'f.npz'}: 5 pictures\n"
    assert "1 picture left out, since unreadable: '1/broken.jpg is no image" in done.stderr
    with np.load(tmp_path / "f.npz") as arrays:
        assert arrays["image"].tolist() == found.images  # type: ignore[attr-defined]
        assert arrays["embedding"] == pytest.approx(found.embedding, abs=1e-5)  # type: ignore[attr-defined]
        meta = json.loads(str(arrays["meta"]))
    assert meta["labels"]["gender"] == ["female", "male"]
    assert meta["start"] == "random"


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="is no folder"):
        embedding.embed_folder(tmp_path / "none")
    with pytest.raises(BadDataset, match="holds no pictures"):
        embedding.embed_folder(tmp_path)
    (tmp_path / "x.png").write_bytes(b"x")
    with pytest.raises(BadDataset, match="no picture can be read"):
        embedding.embed_folder(tmp_path)


def test_a_page_shows_pictures_attributes_and_neighbours(pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    out = tmp_path / "page.html"
    done = call("describe", pictures, "--out", out, "--pictures", "3", "--workers", "1", "--device", "cpu")
    assert done.exit_code == 0, done.output
    page = out.read_text(encoding="utf-8")
    assert page.count('<section class="card"') == 3
    assert page.count("data:image/jpeg;base64,") == 5  # each picture once, also those that are only neighbours
    assert page.count("<li>") == 3 * 4 + 1
    assert "1 left out, since they cannot be read" in page
    assert "random numbers" in page
    assert "<h1><bdi>pictures</bdi></h1>" in page
    assert "drawn people only" in page


def test_a_page_of_another_model_names_its_data_set_and_promises_no_limits(tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    task = Task("pose", "posture", labels=("left", "right"))
    meta = {"model": "run", "method": "m", "start": "random", "flip": False, "models": [{"trained_on": "0" * 64}]}
    one = embedding.Embedded(["0.png"], None, {"pose": np.array([[0.25, 0.75]], np.float32)}, [task], {}, meta)
    (tmp_path / "mine" / "images").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "mine" / "images" / "0.png")
    page = describing.description_html(tmp_path / "mine" / "images", one)
    assert "<h1><bdi>mine/images</bdi></h1>" in page
    assert "right\N{NO-BREAK SPACE}75%" in page
    assert "drawn people" not in page
    assert "1 picture: their attributes.</p>" in page


def test_a_page_of_a_model_without_attributes_speaks_of_neighbours_alone(pictures: Path, found: object) -> None:
    pytest.importorskip("jinja2")
    one = embedding.Embedded(**vars(found) | {"tasks": [], "probabilities": {}})
    page = describing.description_html(pictures, one)
    assert "5 pictures: the pictures it takes for the same person.</p>" in page
    assert "Percentages" not in page
    assert '<section class="card bare"' in page


def test_neighbours_are_those_of_the_plain_definition() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((20, 3)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    nearest, cosine = describing.neighbours(features, np.array([4, 11]))
    for row, others, values in zip((4, 11), nearest, cosine, strict=True):
        by_hand = sorted(
            (-sum(a * b for a, b in zip(features[row], features[other], strict=True)), other)
            for other in range(20)
            if other != row
        )[:6]
        assert others.tolist() == [other for _, other in by_hand]
        assert values == pytest.approx([-value for value, _ in by_hand], abs=1e-5)


def test_a_packed_model_is_the_run_in_16_bits_and_also_a_start(tmp_path: Path) -> None:
    state = checkpoints.load(SMALL)
    checkpoints.save(tmp_path / "checkpoint.pt", state)
    done = call("pack", tmp_path, "--out", tmp_path / "again.safetensors")
    assert done.exit_code == 0, done.output
    again = checkpoints.load(tmp_path / "again.safetensors")
    assert again.configuration == state.configuration
    assert list(again.n_classes.items()) == list(state.n_classes.items())
    assert all(torch.equal(value, again.model[key]) for key, value in state.model.items())
    assert call("pack", tmp_path, "--out", tmp_path / "again.pt").exit_code == 2
    assert weights.fitting_backbone(SMALL) == "small"


def test_damaged_model_files_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    content = SMALL.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[:100_000])
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "bare.safetensors", metadata={"format": files.MODEL_FORMAT})
    part = {"format": files.MODEL_FORMAT, "about": "{}"}
    save_file({"x": torch.zeros(1)}, tmp_path / "part.safetensors", metadata=part)
    for name, message in {
        "cut": "cannot be read, so it is cut off",
        "other": "is no checkpoint of format",
        "bare": "cannot be read",
        "part": "is damaged: KeyError 'configuration'",
    }.items():
        with pytest.raises(weights.WrongCheckpoint, match=message):
            checkpoints.load(tmp_path / f"{name}.safetensors")
    with pytest.raises(BadUsage, match="one of small"):
        prediction.checkpoints_in(tmp_path / "none")


def test_known_weights_are_listed_and_a_file_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = call("weights").stdout
    assert "resnet50-0676ba61.pth" in listed
    assert "102,530,333 bytes; SHA-256 0676ba61b6795bbe" in listed
    done = call("weights", SMALL)
    assert "fits backbone small\n  is none of the published files by its SHA-256" in done.stdout
    digest = hashlib.sha256(SMALL.read_bytes()).hexdigest()
    monkeypatch.setattr(known, "KNOWN", {"a.pth": known.KnownFile("w32", "", sha256=digest[:8])})
    assert known.identity_of(SMALL) == (digest, "is the published a.pth")
    path = tmp_path / "resnet50-0676ba61.pth"
    path.write_bytes(b"cut off")
    monkeypatch.undo()
    assert "is not the published file of this name" in known.identity_of(path)[1]
    path = path.rename(tmp_path / "hrnetv2_w32_imagenet_pretrained.pth")
    assert "has 7 bytes; the published file of this name has 165,587,602" in known.identity_of(path)[1]
    assert call("weights", path).exit_code == 2


def test_an_onnx_file_gives_the_same_answers(pictures: Path, found: object, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    exporting = pytest.importorskip("reference_model.onnx_export")
    pytest.importorskip("onnxscript")
    from piq_bench.images.decode import decode, strict_decoding
    from reference_model.data import resized

    size = exporting.export_onnx("small", tmp_path / "m.onnx")
    with strict_decoding():
        names = found.images  # type: ignore[attr-defined]
        pixels = np.stack([resized(decode((pictures / name).read_bytes()), size) for name in names])
    session = runtime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    answers = dict(zip(outputs, session.run(None, {"pixels": pixels}), strict=True))
    assert answers.pop("embedding") == pytest.approx(found.embedding, abs=1e-4)  # type: ignore[attr-defined]
    assert answers.keys() == found.probabilities.keys()  # type: ignore[attr-defined]
    for task, values in found.probabilities.items():  # type: ignore[attr-defined]
        assert answers[task] == pytest.approx(values, abs=1e-4)
    labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
    assert labels["gender"] == ["female", "male"]
