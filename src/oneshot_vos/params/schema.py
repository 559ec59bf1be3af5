"""What the parameter files may hold: one class per block.

A value that can change a result has no default here: it stands in a file, where DVC tracks it.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from oneshot_vos.errors import UserError
from oneshot_vos.params.layers import Layered
from oneshot_vos.registry import suggest

Labels = Literal["first", "every"]

# Keys, wherever they stand, whose values change no number, but how fast and how visibly it is reached.
NEUTRAL = frozenset({"workers", "checkpoint_every", "log_every", "processes"})


class Strict(BaseModel):
    """A block of the file: no unknown keys, no silent conversion, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True)


def _relative(path: str) -> str:
    if path != "." and (not path or path.startswith("/") or ".." in path.split("/")):
        raise ValueError("must be a relative path below its root, without '..'")
    return path


Positive = Annotated[int, Field(ge=1)]
Processes = Literal["auto"] | Positive
NonNegative = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0.0, le=1.0)]
# YAML has lists where a frozen model wants tuples.
Integers = Annotated[tuple[NonNegative, ...], Field(strict=False)]
RelativePath = Annotated[str, AfterValidator(_relative)]


class Generate(Strict):
    """The artificial videos of `mini` and `smoke`: how many, how long, how large."""

    seed: NonNegative
    train: Positive  # videos
    val: Positive  # videos
    static: Positive  # single images with a mask
    frames: Annotated[int, Field(ge=3)]  # per video
    size: Annotated[int, Field(ge=32)]  # pixels, height and width


class DavisSet(Strict):
    """Videos in the folder layout of DAVIS: one folder of frames and one of masks per video."""

    kind: Literal["davis"]
    path: RelativePath  # below the root
    images: RelativePath
    annotations: RelativePath
    list_file: RelativePath | None = Field(alias="list")  # video names, one a line; null: every folder
    videos: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None  # only these; null: all listed
    single_object: bool  # all objects are one, as in DAVIS 2016


class PairsSet(Strict):
    """Single images with a mask of the same name beside them, flat or in class folders."""

    kind: Literal["pairs"]
    path: RelativePath


class YouTubeVideos(Strict):
    """A split of YouTube-VOS, as `meta.json` lists it. null for `images`, `annotations`, `meta`: as in the package."""

    kind: Literal["youtube"]
    path: RelativePath  # below the root: holds train, valid and all_frames
    split: Literal["train", "train-part", "held-out", "valid"]
    images: RelativePath | None  # below path, like the next three
    annotations: RelativePath | None
    meta: RelativePath | None
    all_frames: RelativePath | None  # every frame, which the network then runs on; null: those of images
    exclude: Annotated[tuple[str, ...], Field(strict=False)]  # further videos to leave out


class VideoSource(Strict):
    """How a set takes part in training on videos."""

    copies: Positive  # how often the set counts within an epoch
    skip_divisor: Positive  # divides the largest frame distance, where only every n-th frame is at hand
    items: Literal["videos", "frames"]  # what an epoch holds once: each video, or each frame that a clip can start from


class ImageSource(Strict):
    """How a set takes part in pretraining on single images."""

    copies: Positive


class Data(Strict):
    """Where the sets lie and which stage reads which."""

    root: str
    generate: Generate | None
    sets: dict[str, Annotated[DavisSet | PairsSet | YouTubeVideos, Field(discriminator="kind")]]
    train: Annotated[dict[str, VideoSource], Field(min_length=1)]
    train_of: dict[str, Annotated[dict[str, VideoSource], Field(min_length=1)]]  # by network: in the place of train
    pretrain: dict[str, ImageSource]  # empty: no run starts from pretraining
    evaluate: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]

    def train_sources(self, network: str) -> dict[str, VideoSource]:
        """The sets that a network is trained on."""
        return self.train_of.get(network, self.train)

    @property
    def training_sets(self) -> tuple[str, ...]:
        """Every set that some network is trained on."""
        return tuple(dict.fromkeys(name for each in (self.train, *self.train_of.values()) for name in each))

    @property
    def davis_sets(self) -> tuple[str, ...]:
        """The evaluation sets that are scored as DAVIS is."""
        return tuple(name for name in self.evaluate if self.sets[name].kind == "davis")

    def youtube_sets(self, split: str) -> tuple[str, ...]:
        """The evaluation sets that are this split of YouTube-VOS."""
        chosen = {name: self.sets[name] for name in self.evaluate}
        return tuple(name for name, each in chosen.items() if isinstance(each, YouTubeVideos) and each.split == split)


class Init(Strict):
    """Where the weights of a new network come from."""

    backbone: Literal["imagenet", "random"]
    files: dict[str, str | None]  # ImageNet weights by backbone of timm: networks/common/timm_weights.py


class Optimiser(Strict):
    """The optimiser and its constants."""

    name: Literal["adam", "adamw"]
    epsilon: Annotated[float, Field(gt=0.0, lt=1.0)]
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)]
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)]
    clip: Annotated[float, Field(gt=0.0)] | None  # largest norm of all gradients together


class Schedule(Strict):
    """The learning rate over the iterations, as a factor of the optimiser's."""

    name: Literal["multistep", "cosine"]
    milestones: Integers  # iterations at which `multistep` multiplies by `factor`
    factor: Fraction  # `cosine` ends at this factor
    warmup: NonNegative  # iterations of a linear rise at the start

    @model_validator(mode="after")
    def _check(self) -> "Schedule":
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError("milestones must rise")
        if self.name == "cosine" and self.milestones:
            raise ValueError("cosine takes no milestones; write milestones: []")
        return self


class MaxSkip(Strict):
    """The curriculum of the largest distance between neighbouring frames of a clip."""

    values: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)]
    at: Annotated[tuple[Annotated[float, Field(ge=0.0, lt=1.0)], ...], Field(strict=False)]  # fractions of iterations

    @model_validator(mode="after")
    def _check(self) -> "MaxSkip":
        if len(self.at) != len(self.values):
            raise ValueError(f"{len(self.values)} values need as many entries in at, not {len(self.at)}")
        if self.at[0] != 0 or list(self.at) != sorted(set(self.at)):
            raise ValueError("at must start with 0 and rise")
        return self


class ClipChoices(Strict):
    """What the official programs do differently from each other when they make clips: docs/quirks.md."""

    affine_first: bool  # of videos: rotation and shear before the random crop, not after it
    affine_until: Positive | None  # of videos: iterations with rotation and shear; null: all
    interpolation: Literal["bicubic", "bilinear"]  # of images; bilinear: masks of still images by the nearest pixel
    first_masks: Literal["soft", "hard"]  # of still images, whose warped masks have soft edges
    merge: Annotated[float, Field(ge=0.0, le=1.0)]  # full supervision: how often a second clip's objects are pasted in
    short_videos: Literal["repeat", "drop"]  # videos with fewer frames than a clip: repeat the last, or leave them out


class Training(Strict):
    """The recipe of one training, on images (`pretrain`) or on videos (`train`)."""

    iterations: Positive
    batch_size: Positive  # in total: over all processes and accumulation steps
    accumulation: Positive
    frames: Annotated[int, Field(ge=2)]  # per clip
    sampler: Literal["steps", "nearby"]  # how full supervision chooses frames: clips/sampling.py
    crop: Annotated[int, Field(ge=16, multiple_of=16)]  # pixels, height and width
    objects: Positive  # per clip at most
    workers: NonNegative  # processes that prepare clips; 0: the training process does it
    precision: Literal["auto", "float32", "bfloat16", "float16"]
    transforms: Literal["exact", "composed"]
    augmentation: Literal["stcn", "xmem", "cutie"]  # whose recipe: clips/transforms.py
    clips: ClipChoices
    single_object: bool  # of images: the network is built, and its weights written, without the other objects' channel
    optimiser: Optimiser
    schedule: Schedule
    loss: dict[str, Any]  # keyword arguments of the network's loss
    max_skip: MaxSkip | None  # null: single images, no frame distance
    handover: Literal["soft", "hard"]  # form of the prediction that starts the way back
    memory_frames: Positive | None  # earlier frames that a frame of a clip is predicted from, at most; null: all
    deep_update: Annotated[float, Field(ge=0.0, le=1.0)]  # how often a recurrent state takes up a memorised frame
    checkpoint_every: Positive  # iterations
    log_every: Positive  # iterations

    @model_validator(mode="after")
    def _check(self) -> "Training":
        if self.batch_size % self.accumulation:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of accumulation {self.accumulation}")
        if self.single_object and (self.objects > 1 or self.max_skip is not None):
            raise ValueError("single_object is for single images with objects: 1")
        if self.schedule.milestones and self.schedule.milestones[-1] >= self.iterations:
            raise ValueError(
                f"the milestone {self.schedule.milestones[-1]} is never reached in {self.iterations} iterations"
            )
        return self


class LongTerm(Strict):
    """Long-term memory: the working memory's most used positions, condensed into prototypes."""

    max_frames: Annotated[int, Field(ge=2)]  # working frames at which condensing starts, the first frame included
    min_frames: Annotated[int, Field(ge=2)]  # working frames that it leaves, the first frame included
    prototypes: Positive  # per condensing
    max_elements: Positive  # of the long-term memory
    buffer: NonNegative  # elements that a removal frees beyond what is needed


class Infer(Strict):
    """Memory and resolution of inference."""

    memory_every: Positive  # every n-th frame enters the memory
    top_k: Positive | None  # memory positions that a query reads; null: all
    max_frames: Annotated[int, Field(ge=2)] | None  # largest memory; the oldest frames without a given mask go first
    include_last: bool  # the frame before is read as well
    short_side: Annotated[int, Field(ge=16)] | None  # pixels, to which frames are resized; null: as they are
    object_chunk: Positive | None  # objects that are computed at once; null: all
    deep_update_every: Positive | None  # frames between deep updates of the state; null: with the memory frames
    stagger_updates: Positive | None  # state updates per memory_every frames; null: every frame
    long_term: LongTerm | None
    internal_size: Annotated[int, Field(ge=16)] | None  # pixels; shorter side inside the network alone
    flip: bool  # average with the mirrored video
    official_quirks: bool  # do what the official programs do where we think them wrong: docs/quirks.md


class Evaluate(Strict):
    """Scoring."""

    tolerance: Annotated[float, Field(gt=0.0, lt=1.0)]  # of contours, as a fraction of the image diagonal
    processes: Positive


class Curve(Strict):
    """Scores over the course of a training, on the first videos of a set."""

    points: Positive  # evenly spaced; the last is the finished network
    set: str
    videos: Positive


class FigureChoice(Strict):
    """What a figure shows."""

    set: str
    videos: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None  # null: chosen by the figure's rule
    frames: Positive  # columns, evenly spaced over the video


class EmptyFigure(FigureChoice):
    """What Figure 6 shows, and of which state of the network."""

    iteration: Positive | None  # the weights after so many iterations; null: the finished ones


class Figures(Strict):
    """The figures of the paper that show masks."""

    figure4: FigureChoice  # full supervision beside one-shot
    figure5: FigureChoice | None  # the same on YouTube-VOS; null: the profile has no such set
    figure6: EmptyFigure  # the network trained with an empty reference
    figure7: FigureChoice  # T-step from scratch beside the truth


class Profile(Strict):
    """One complete setting of every stage, per network."""

    data: Data
    init: Init
    networks: dict[str, dict[str, Any]]  # keyword arguments of each network; {} is the official size
    pretrain: dict[str, Training]
    train: dict[str, Training]  # of runs that change nothing
    infer: dict[str, Infer]
    evaluate: Evaluate
    curve: Curve
    figures: Figures


def _strategy(value: object) -> object:
    named = isinstance(value, dict) and isinstance(value.get("name"), str)
    if not (isinstance(value, str) or named):
        raise ValueError("must be a strategy's name, or {name: …} with its settings")
    return value


class Run(Strict):
    """One trained network."""

    network: str
    entry: Annotated[Any, AfterValidator(_strategy)] = Field(alias="strategy")  # a name, or {name: …} with settings
    labels: Labels
    init: Literal["static", "backbone"]  # start from pretraining on static images, or from the backbone alone
    seed: NonNegative
    given: Literal["first", "empty"] = "first"  # what inference shows of a video's masks; the strategy says which
    train: dict[str, Any] = Field(default_factory=dict)  # what differs from the recipe and the profile

    @property
    def strategy(self) -> str:
        """The name of the strategy, one of `supervision.STRATEGIES`."""
        return str(self.entry["name"] if isinstance(self.entry, dict) else self.entry)

    @property
    def strategy_settings(self) -> dict[str, Any]:
        """Keyword arguments of the strategy."""
        return {k: v for k, v in self.entry.items() if k != "name"} if isinstance(self.entry, dict) else {}

    @property
    def key(self) -> str:
        """The name that the fields spell; a run's name may go on after it, with `-` and a word of its own."""
        return f"{self.network}-{self.strategy}-{self.init}" + (f"-s{self.seed}" if self.seed else "")

    def described(self, key: str) -> dict[str, Any]:
        """What tells this run, named `key`, from others in tables; a variant's word goes with its strategy."""
        word = key.removeprefix(self.key)
        return {
            "network": self.network,
            "strategy": f"{self.strategy}{word}",
            "labels": self.labels,
            "init": self.init,
            "seed": self.seed,
        }


class Choices(Strict):
    """`params.yaml`: the profile in force, and what is trained."""

    profile_name: str = Field(alias="profile")
    networks: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    table1_strategy: dict[str, str]
    runs: dict[str, Run]


class ProfileFile(Strict):
    """`config/profiles/<name>.yaml`: the data, and what differs from the recipes.

    `training` holds for both stages; below `pretrain`, `train` and `infer`, `all` holds for every network.
    """

    data: Data
    init: Init
    networks: dict[str, dict[str, Any]]
    training: dict[str, Any]
    pretrain: dict[str, dict[str, Any]]
    train: dict[str, dict[str, Any]]
    infer: dict[str, dict[str, Any]]
    evaluate: Evaluate
    curve: Curve
    figures: Figures
    processes: Processes | None = None  # in the place of the recipes'


class RecipeFile(Strict):
    """`config/recipes/<network>.yaml`: the official values, complete."""

    processes: Processes  # of a training; auto: one per GPU. Up to rounding it changes no number
    network: dict[str, Any]  # keyword arguments of the network; {} is the official size
    pretrain: dict[str, Any]
    train: dict[str, Any]
    infer: dict[str, Any]


@dataclass(frozen=True)
class Params:
    """All parameters under one profile, with the layers put together."""

    profile_name: str
    networks: tuple[str, ...]
    table1_strategy: dict[str, str]
    runs: dict[str, Run]
    profile: Profile
    trainings: dict[str, Training]  # of every run
    processes: dict[str, Literal["auto"] | int]  # how many train, by network
    layers: dict[str, Layered]  # where values are from: networks.<n>, pretrain.<n>, infer.<n>, runs.<run>, train.<run>

    def run(self, key: str) -> Run:
        """The run of this name; `UserError` with the nearest name if there is none."""
        if key not in self.runs:
            raise UserError(f"unknown run '{key}': {suggest(key, list(self.runs))}")
        return self.runs[key]

    def training(self, key: str) -> Training:
        """How the run of this name is trained."""
        self.run(key)
        return self.trainings[key]

    def require_network(self, name: str) -> str:
        """`name` if it is among `networks`; `UserError` with the nearest name if not."""
        if name not in self.networks:
            raise UserError(f"unknown network '{name}': {suggest(name, list(self.networks))}")
        return name
