"""The block `data` of a profile: sets, where they lie, and which stage reads which."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """A block of a parameter file: no unknown keys, no silent conversion, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True)


Positive = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]


def _relative(path: str) -> str:
    if path != "." and (not path or path.startswith("/") or ".." in path.split("/")):
        raise ValueError("must be a relative path below its root, without '..'")
    return path


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


class ServerSet(Strict):
    """Videos in the folder layout of DAVIS with masks where objects begin alone, which a server scores."""

    kind: Literal["server"]
    server: Literal["davis", "mose", "lvos"]  # whose archive is written
    path: RelativePath  # below the root
    images: RelativePath
    annotations: RelativePath
    list_file: RelativePath | None = Field(alias="list")  # video names, one a line; null: every folder


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
    sets: dict[str, Annotated[DavisSet | PairsSet | ServerSet | YouTubeVideos, Field(discriminator="kind")]]
    train: Annotated[dict[str, VideoSource], Field(min_length=1)]
    train_of: dict[str, Annotated[dict[str, VideoSource], Field(min_length=1)]]  # by network: in the place of train
    pretrain: dict[str, ImageSource]  # pairs, or videos: their first masks; empty: no run starts from pretraining
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
