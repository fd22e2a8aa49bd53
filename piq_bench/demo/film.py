"""Decides what was filmed: the films, the tracks of people in them, and the frames of each track with their labels.

A track is a run of consecutive frames of one person in one pose. Train and test share no film and no person. People
without an identity have looks of their own too; only their name is not known.
"""

from dataclasses import dataclass

from piq_bench.demo.people import Person, cast_people
from piq_bench.demo.random import Draws, apportion
from piq_bench.demo.sizes import Sizes, long_tail

BODIES = ("standing", "walking_running", "sitting", "bending_squatting", "lying")
ARMS = ("down", "bent", "raised_extended", "crossed", "holding")
EXPRESSIONS = ("happiness", "sadness", "anger", "fear", "surprise", "disgust", "contempt")
ATTRIBUTES = ("gender", "age", "physique", "height", "body", "arm", "expression")

BODY_WEIGHTS = {"standing": 38, "walking_running": 21, "sitting": 19, "bending_squatting": 11, "lying": 11}
ARM_WEIGHTS = {"down": 33, "bent": 22, "raised_extended": 15, "crossed": 13, "holding": 17}
EXPRESSION_WEIGHTS: dict[tuple[str, ...], int] = {
    (): 540,
    ("happiness",): 110,
    ("sadness",): 60,
    ("anger",): 60,
    ("surprise",): 50,
    ("fear",): 38,
    ("disgust",): 36,
    ("contempt",): 36,
    ("happiness", "surprise"): 18,
    ("fear", "surprise"): 14,
    ("sadness", "fear"): 10,
    ("anger", "disgust"): 14,
    ("sadness", "anger"): 7,
    ("disgust", "contempt"): 7,
}
SHOT_WEIGHTS = {"full": 58, "knees": 27, "chest": 15}
TRACK_LENGTH_WEIGHTS = (30, 24, 15, 11, 8, 6, 3, 3)

UNNAMED_APPEARANCES = 7  # images of each person without a name, on average
JITTER = 0.3  # share of tracks whose bounding box differs from frame to frame
SEEN_ONCE = 0.12  # share of rarely seen people whose images are all in one track
NOT_ANNOTATED = 0.02  # share of images without a label, task by task
BODY_OUT_OF_SIGHT = 0.5  # share of close shots without a label of `body`


@dataclass(frozen=True, slots=True)
class Track:
    """One person in one pose in consecutive frames of one film.

    Attributes:
        name: "m03-t012", the column `sequence`.
        film: number of the film, from 1.
        identity: the person's name in the annotations; "" if it is not known.
        body, arm, expression: labels of the pose; an empty expression is a calm face.
        shot: how much of the person is in the image: "full", "knees" or "chest".
        jitter: whether the bounding box differs from frame to frame.
        n_frames: number of frames.
    """

    name: str
    film: int
    person: Person
    identity: str
    body: str
    arm: str
    expression: tuple[str, ...]
    shot: str
    jitter: bool
    n_frames: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One image: its id, its split, its track, its place in the track (from 0) and the tasks without a label."""

    image: str
    split: str
    track: Track
    place: int
    unannotated: tuple[str, ...]

    @property
    def source(self) -> str:
        """The film, as the annotations name it."""
        return self.image.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Role:
    """One person of train or test, with the number of query images and of all other images."""

    person: Person
    identity: str
    n_query: int
    n_rest: int


@dataclass(frozen=True, slots=True)
class TrackPlan:
    """A track before it has a name and a pose: the person, the film and the split of each frame."""

    role: Role
    film: int
    splits: tuple[str, ...]


def shoot(seed: int, sizes: Sizes) -> list[Frame]:
    """Makes all images of a benchmark with their labels, ascending by image id."""
    n_films = sizes.train_films + sizes.test_films
    films = Draws("films", seed).shuffled(range(1, n_films + 1))
    train_films, test_films = films[: sizes.train_films], films[sizes.train_films :]
    train, test = roles(seed, sizes)
    tracks = [
        *plan_tracks(seed, train, train_films, "train", sizes.longest_track),
        *plan_tracks(seed, test, test_films, "gallery", sizes.longest_track),
    ]
    return sorted(frames_of(seed, tracks, n_films), key=lambda frame: frame.image)


def roles(seed: int, sizes: Sizes) -> tuple[list[Role], list[Role]]:
    """The people of train and of test: first those with a name, most images first, then those without."""
    n_train, n_test = sizes.train_identities, sizes.gallery_identities
    width = max(3, len(str(n_train + n_test)))
    names = [f"p{number:0{width}d}" for number in Draws("names", seed).shuffled(range(1, n_train + n_test + 1))]
    train_counts = long_tail(sizes.train - sizes.train_unlabelled, n_train)
    gallery_counts = long_tail(sizes.gallery - sizes.gallery_unlabelled, n_test)
    query_counts = long_tail(sizes.query, sizes.query_identities)
    query_counts += [0] * (n_test - sizes.query_identities)  # people with the fewest images are in the gallery only
    train_people = cast_people(seed, "train", 0, n_train)
    test_people = cast_people(seed, "test", n_train, n_test)
    train = [Role(*row) for row in zip(train_people, names, [0] * n_train, train_counts, strict=False)]
    test = [Role(*row) for row in zip(test_people, names[n_train:], query_counts, gallery_counts, strict=True)]
    train += unnamed_people(seed, "train", n_train + n_test, sizes.train_unlabelled)
    test += unnamed_people(seed, "test", n_train + n_test + len(train), sizes.gallery_unlabelled)
    return train, test


def unnamed_people(seed: int, side: str, first: int, n_images: int) -> list[Role]:
    """People without a name, with `n_images` images in all."""
    n_people = -(-n_images // UNNAMED_APPEARANCES)
    draws = Draws("hidden", seed, side)
    counts = apportion(n_images, [1 + draws.below(99) for _ in range(n_people)], least=1)
    people = cast_people(seed, f"{side} hidden", first, n_people)
    return [Role(person, "", 0, count) for person, count in zip(people, counts, strict=True)]


def plan_tracks(seed: int, people: list[Role], films: list[int], rest: str, longest: int) -> list[TrackPlan]:
    """Cuts each person's images into tracks and spreads them over a few films.

    Args:
        seed: seed of the benchmark.
        people: the people of train or of test.
        films: numbers of the films to choose from.
        rest: split of all images that are no queries.
        longest: most frames of a track.
    """
    plans = []
    for role in people:
        draws = Draws("takes", seed, role.person.number)
        n_images = role.n_query + role.n_rest
        splits = draws.shuffled(["query"] * role.n_query + [rest] * role.n_rest)
        if n_images <= longest and draws.chance(SEEN_ONCE):
            lengths = [n_images]
        else:
            lengths = track_lengths(draws, n_images, min(longest, max(1, n_images // 2)))
        own = draws.shuffled(films)[: 1 + draws.below(min(4, len(lengths)))]
        start = 0
        for length in lengths:
            plans.append(TrackPlan(role, draws.pick(own), tuple(splits[start : start + length])))
            start += length
    return plans


def track_lengths(draws: Draws, total: int, longest: int) -> list[int]:
    """Lengths of tracks that add up to `total`, none above `longest`."""
    stretch = -(-longest // len(TRACK_LENGTH_WEIGHTS))
    weights = dict(enumerate(TRACK_LENGTH_WEIGHTS))
    lengths = []
    while total:
        wish = 1 + draws.weighted(weights) * stretch + draws.below(stretch)
        lengths.append(min(wish, longest, total))
        total -= lengths[-1]
    return lengths


def frames_of(seed: int, plans: list[TrackPlan], n_films: int) -> list[Frame]:
    """Gives every track a pose and a name, and numbers the frames of each film.

    Poses are dealt out for train and test separately, so that neither lacks a label.
    """
    poses: dict[int, tuple[str, str, tuple[str, ...], str]] = {}
    for side in ("train", "test"):
        members = [i for i, plan in enumerate(plans) if (plan.splits[0] == "train") == (side == "train")]
        draws = Draws("poses", seed, side)
        decks = [draws.deck(weights, len(members)) for weights in (BODY_WEIGHTS, ARM_WEIGHTS)]
        expressions = draws.deck(EXPRESSION_WEIGHTS, len(members))
        shots = draws.deck(SHOT_WEIGHTS, len(members))
        poses.update(zip(members, zip(*decks, expressions, shots, strict=True), strict=True))
    shown = []
    width = max(2, len(str(n_films)))
    for film in range(1, n_films + 1):
        draws = Draws("film", seed, film)
        number = 0
        members = draws.shuffled(i for i, plan in enumerate(plans) if plan.film == film)
        for place, i in enumerate(members):
            role, splits = plans[i].role, plans[i].splits
            name = f"m{film:0{width}d}"
            jitter = draws.chance(JITTER)
            track = Track(f"{name}-t{place:03d}", film, role.person, role.identity, *poses[i], jitter, len(splits))
            number += 1 + draws.below(12)  # between two tracks some frame numbers are skipped
            for k, split in enumerate(splits):
                shown.append(Frame(f"{name}/{number:05d}.jpg", split, track, k, unannotated_tasks(draws, track.shot)))
                number += 1
    return shown


def unannotated_tasks(draws: Draws, shot: str) -> tuple[str, ...]:
    """Draws the tasks for which one image has no label."""
    return tuple(
        task
        for task in ATTRIBUTES
        if draws.chance(BODY_OUT_OF_SIGHT if task == "body" and shot == "chest" else NOT_ANNOTATED)
    )


def annotation_row(frame: Frame) -> dict[str, str]:
    """One line of annotations.csv, as text."""
    track, person = frame.track, frame.track.person
    values = {
        "image": frame.image,
        "split": frame.split,
        "identity": track.identity,
        "gender": person.gender,
        "age": person.age,
        "physique": person.physique,
        "height": person.height,
        "body": track.body,
        "arm": track.arm,
        "expression": "|".join(track.expression) or "-",
        "source": frame.source,
        "sequence": track.name,
    }
    return {column: "" if column in frame.unannotated else value for column, value in values.items()}
