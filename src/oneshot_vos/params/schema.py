"""What the parameter files may hold: one class per block.

A value that can change a result has no default here: it stands in a file, where DVC tracks it.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import AfterValidator, Field, create_model, model_validator

from oneshot_vos.errors import UserError
from oneshot_vos.inference_settings import InferenceSettings, LongTerm, settings_of
from oneshot_vos.params.data import Data, NonNegative, Positive, Strict
from oneshot_vos.params.layers import Layered
from oneshot_vos.registry import suggest

PAPER_LABELS = ("first", "every")  # the labels of the paper's own runs, which a run's name does not spell
Processes = Literal["auto"] | Positive
Fraction = Annotated[float, Field(gt=0.0, le=1.0)]
# YAML has lists where a frozen model wants tuples.
Integers = Annotated[tuple[NonNegative, ...], Field(strict=False)]

# Keys, wherever they stand, whose values change no number, but how fast and how visibly it is reached.
NEUTRAL = frozenset({"workers", "checkpoint_every", "log_every", "processes"})


class Init(Strict):
    """Where the weights of a new network come from."""

    backbone: Literal["imagenet", "random"]
    files: dict[str, str | None]  # ImageNet weights by backbone of timm: networks/common/imagenet.py


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
    handover: Literal["soft", "hard"]  # form of the prediction that starts the backward walk
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


def _complete(settings: type, make: Callable[[dict[str, Any]], object], **nested: Any) -> type[Strict]:
    """A block with the fields and bounds of a dataclass, none of which may be left out, whatever it is elsewhere.

    make: the dataclass from plain values; what it refuses is a finding. nested: types of fields that are blocks.
    """

    def check(block: Strict) -> Strict:
        try:
            make(block.model_dump())
        except UserError as error:
            raise ValueError(error) from error
        return block

    types = get_type_hints(settings) | nested
    values: dict[str, Any] = {
        each.name: (types[each.name], Field(ge=each.metadata.get("least"))) for each in fields(settings)
    }
    validators: dict[str, Any] = {"check": model_validator(mode="after")(check)}
    return create_model(settings.__name__, __base__=Strict, __validators__=validators, **values)


LongTermBlock = _complete(LongTerm, lambda values: LongTerm(**values))
InferBlock = _complete(InferenceSettings, settings_of, long_term=LongTermBlock | None)


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


class Profile(Strict, defer_build=True):  # never validated itself: put together of blocks that are
    """One complete setting of every stage, per network."""

    data: Data
    init: Init
    networks: dict[str, dict[str, Any]]  # keyword arguments of each network; {} is the official size
    pretrain: dict[str, Training]
    train: dict[str, Training]  # of runs that change nothing
    infer: dict[str, InferenceSettings]
    evaluate: Evaluate
    curve: Curve
    figures: Figures


class LabelChoice(Strict):
    """Which masks of a video training gets."""

    # every; the first ones; those from the k-th on, counted from 0; drawn by seed and name of the video
    frames: Literal["every", "first", "random"] | NonNegative
    per_video: Positive | None = None  # how many that show an object; null for every, and only there
    seed: NonNegative | None = None  # of `random`, and only there

    @model_validator(mode="after")
    def _check(self) -> "LabelChoice":
        for key, needed in (("per_video", self.frames != "every"), ("seed", self.frames == "random")):
            if needed and getattr(self, key) is None:
                raise ValueError(f"frames: {self.frames} needs {key}")
            if not needed and getattr(self, key) is not None:
                raise ValueError(f"frames: {self.frames} takes no {key}; leave it out")
        return self


def _strategy(value: object) -> object:
    named = isinstance(value, dict) and isinstance(value.get("name"), str)
    if not (isinstance(value, str) or named):
        raise ValueError("must be a strategy's name, or {name: …} with its settings")
    return value


class PseudoLabels(Strict):
    """Labels that a network makes, and which of them training may use; 0 leaves none out."""

    network: str
    run: str  # whose weights make them
    confidence: Annotated[float, Field(ge=0.0, lt=1.0)]  # less sure pixels are void
    agreement: Annotated[float, Field(ge=0.0, lt=1.0)]  # frames in which the two time directions agree less have none


class Start(Strict):
    """Weights that runs start from by name, as `init`."""

    network: str
    weights: str  # a file: of ours, or an official one; it may be a result of the profile, such as a run's weights


class Run(Strict):
    """One trained network."""

    network: str
    entry: Annotated[Any, AfterValidator(_strategy)] = Field(alias="strategy")  # a name, or {name: …} with settings
    labels: str  # one of `labels` in the parameters, or of `pseudo`
    init: str  # static: from pretraining on images; backbone: from the backbone alone; or one of `starts`
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
        """The name that the fields spell; a run's name may add `-` and a word of its own."""
        return self._start + ("" if self.labels in PAPER_LABELS else f"-{self.labels}")

    @property
    def _start(self) -> str:
        return f"{self.network}-{self.strategy}-{self.init}" + (f"-s{self.seed}" if self.seed else "")

    def described(self, key: str) -> dict[str, Any]:
        """What tells this run, named `key`, from others in tables; what its name adds goes with its strategy."""
        word = key.removeprefix(self._start)
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
    labels: Annotated[Mapping[str, LabelChoice], Field(min_length=1)]
    table1_strategy: dict[str, str]
    starts: Mapping[str, Start]
    pseudo: Mapping[str, PseudoLabels]
    runs: Mapping[str, Run]


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


class Params(Choices, defer_build=True):
    """All parameters under one profile, with the layers put together; looking an unknown name up raises `UserError`."""

    profile_name: str
    profile: Profile
    trainings: Mapping[str, Training]  # of every run
    processes: dict[str, Literal["auto"] | int]  # how many train, by network
    layers: dict[str, Layered]  # where values are from: networks.<n>, pretrain.<n>, infer.<n>, runs.<run>, train.<run>

    def require_network(self, name: str) -> None:
        """Raise `UserError` with the nearest name unless this is one of `networks`."""
        if name not in self.networks:
            raise UserError(f"unknown network '{name}': {suggest(name, self.networks)}")
