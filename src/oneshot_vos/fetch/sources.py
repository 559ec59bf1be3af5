"""Where each public data set comes from, where it goes, and what it must hold: facts, no behaviour.

The folders are those of the official STCN, XMem and Cutie code, so that a tree which somebody has already is used as
it is. A size or checksum that nobody published is None: it is pinned when first seen (`checksums`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from oneshot_vos.registry import Registry


@dataclass(frozen=True)
class Web:
    """A file on a web server."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class Drive:
    """A file on Google Drive."""

    file_id: str

    def __str__(self) -> str:
        return f"https://drive.google.com/file/d/{self.file_id}"


@dataclass(frozen=True)
class Count:
    """How many entries a folder of a part must hold.

    Without `suffix`, sub-folders of `folder` are counted; with it, files of that suffix in `folder` and in its
    sub-folders. `number` None wants at least one. Where the number is common knowledge but the copy offered here was
    never counted, `sure` is False: another number is mentioned and accepted.
    """

    folder: str
    what: str
    number: int | None = None
    suffix: str | None = None
    sure: bool = True


@dataclass(frozen=True)
class Part:
    """One folder (or file) that a source gives: `target`, relative to the root.

    In the archive it is the folder with all `marks` (paths inside it), or, where `named` is given, the folder of that
    name. `counts` say when it is complete.
    """

    target: str
    marks: tuple[str, ...] = ()
    named: str | None = None
    counts: tuple[Count, ...] = ()


@dataclass(frozen=True)
class Source:
    """One file to fetch and the parts in it.

    `place` says what `Part.target` is relative to: the root of the data sets, or the folder in which torch.hub keeps
    weights. `kind` "file" is placed as it is, "archive" (zip, tar, tar.gz, …) is unpacked. `size` in bytes is checked;
    `about` is what somebody wrote somewhere, and is only shown.
    """

    name: str
    title: str
    file_name: str
    mirrors: tuple[Web | Drive, ...]
    parts: tuple[Part, ...]
    licence: str
    page: str
    size: int | None = None
    about: int | None = None
    sha256: str | None = None
    kind: Literal["archive", "file"] = "archive"
    place: Literal["root", "torch hub"] = "root"
    groups: tuple[str, ...] = field(default=())


_DAVIS_LICENCE = "BSD (stated by the official toolkit, without saying whether that covers the frames)"
_YOUTUBE_LICENCE = "annotations CC BY 4.0; the videos for non-commercial research only"
_STATIC_LICENCE = (
    "each set its own, see saliencydetection.net/duts, github.com/yi94code/HRSOD, github.com/HKUSTCV/FSS-1000, "
    "www.cse.cuhk.edu.hk/leojia/projects/hsaliency/dataset.html (ECSSD), github.com/hkchengrex/CascadePSP (BIG)"
)
# The official page leads to a server that asks for an account; the folders are public copies with every package.
_YOUTUBE_PAGES = {
    2018: "https://youtube-vos.org/dataset/vos or drive.google.com/drive/folders/1bI5J1H3mxsIGo7Kp-pPZU8i6rnykOw7f",
    2019: "https://youtube-vos.org/dataset/vos or drive.google.com/drive/folders/1BWzrCWyPEmBEKm0lOHe5KLuBuQxUSwqz",
}
_YOUTUBE_ROOTS = {2018: "YouTube2018", 2019: "YouTube"}
_WEIGHTS = "https://download.pytorch.org/models"


def _davis(marks: tuple[str, ...], target: str, videos: int, frames: int) -> Part:
    return Part(
        target,
        ("JPEGImages/480p", "Annotations/480p", *marks),
        counts=(
            Count("JPEGImages/480p", "videos", videos),
            Count("JPEGImages/480p", "frames", frames, ".jpg"),
            Count("Annotations/480p", "masks", frames, ".png"),
        ),
    )


def _youtube(year: int, package: str, file_id: str, videos: int, about: int | None = None) -> Source:
    """One package of YouTube-VOS: `train`, `valid`, or `valid_all_frames`, which has frames only."""
    masks = package != "valid_all_frames"
    folders = ("JPEGImages", "Annotations") if masks else ("JPEGImages",)
    below = package if masks else f"all_frames/{package}"
    part = Part(
        f"{_YOUTUBE_ROOTS[year]}/{below}",
        (*folders, "meta.json") if masks else folders,
        counts=tuple(
            # The official pages count the videos of the first two packages; that with all frames may hold others, too.
            Count(folder, "videos" if folder == "JPEGImages" else "videos with masks", videos, sure=masks)
            for folder in folders
        ),
    )
    # The two training packages have the same videos; the paper trains on 2018.
    read_by_paper = (year, package) != (2019, "train")
    return Source(
        name=f"youtube{year}-{package.replace('_', '-')}",
        title=f"YouTube-VOS {year}, {package.replace('_', ' ')}",
        file_name=f"youtube-vos-{year}-{package}.zip",
        mirrors=(Drive(file_id),),
        parts=(part,),
        licence=_YOUTUBE_LICENCE,
        page=_YOUTUBE_PAGES[year],
        about=about,
        groups=(f"youtube{year}", *(("paper",) if read_by_paper else ())),
    )


def _static(folder: str, pairs: int) -> Part:
    counts = (
        Count(".", "images", pairs, ".jpg", sure=False),
        Count(".", "masks", pairs, ".png", sure=False),
    )
    return Part(f"static/{folder}", named=folder, counts=counts)


def _imagenet(model: str, file_name: str, size: int, sha256: str) -> Source:
    return Source(
        name=f"imagenet-{model}",
        title=f"ImageNet weights of torchvision's {model}",
        file_name=file_name,
        mirrors=(Web(f"{_WEIGHTS}/{file_name}"),),
        parts=(Part(file_name),),
        licence="BSD 3-clause (torchvision); ImageNet is for non-commercial research",
        page="https://docs.pytorch.org/vision/stable/models.html",
        size=size,
        sha256=sha256,
        kind="file",
        place="torch hub",
        groups=("imagenet", "paper"),
    )


_ALL = (
    Source(
        name="davis2016",
        title="DAVIS 2016",
        file_name="DAVIS-data.zip",
        mirrors=(
            Web("https://graphics.ethz.ch/Downloads/Data/Davis/DAVIS-data.zip"),
            Drive("198aRlh5CpAoFz0hfRgYbiNenn_K8DxWD"),
        ),
        parts=(_davis((), "DAVIS/2016", videos=50, frames=3455),),
        licence=_DAVIS_LICENCE,
        page="https://davischallenge.org/davis2016/code.html",
        about=1_900_000_000,
        groups=("davis",),
    ),
    Source(
        name="davis2017",
        title="DAVIS 2017, trainval, 480p",
        file_name="DAVIS-2017-trainval-480p.zip",
        mirrors=(
            Web("https://data.vision.ee.ethz.ch/csergi/share/davis/DAVIS-2017-trainval-480p.zip"),
            Drive("1kiaxrX_4GuW6NmiVuKGSGVoKGWjOdp6d"),
        ),
        parts=(
            _davis(
                ("ImageSets/2016/val.txt", "ImageSets/2017/train.txt", "ImageSets/2017/val.txt"),
                "DAVIS/2017/trainval",
                videos=90,
                frames=6208,
            ),
        ),
        licence=_DAVIS_LICENCE,
        page="https://davischallenge.org/davis2017/code.html",
        size=832_766_765,
        sha256="e3d0b5b77c3d031b000a19e0e25e3e2cac65d183755601bc2cf066df1a2aa492",
        groups=("davis", "paper"),
    ),
    _youtube(2018, "train", "18S_db1cFgSD1RsMsofJLkd6SyR9opk6a", 3471, about=8_300_000_000),
    _youtube(2018, "valid", "1-QrceIl5sUNTKz7Iq0UsWC6NLZq7girr", 474),
    _youtube(2018, "valid_all_frames", "1yVoHM6zgdcL348cFpolFcEl4IC1gorbV", 474),
    _youtube(2019, "train", "13Eqw0gVK-AO5B-cqvJ203mZ2vzWck9s4", 3471),
    _youtube(2019, "valid", "1o586Wjya-f2ohxYf9C1RlRH-gkrzGS8t", 507),
    _youtube(2019, "valid_all_frames", "1rWQzZcMskgpEQOZdJPJ7eTmLCBEIIpEN", 507),
    Source(
        name="static",
        title="FSS, DUTS-TR, DUTS-TE, ECSSD, BIG, HRSOD (as STCN's authors redistribute them, the last two reduced)",
        file_name="static_data.zip",
        mirrors=(Drive("1wUJq3HcLdN-z1t4CsUhjeZ9BVDb9YKLd"),),
        parts=(
            _static("fss", 10_000),
            _static("DUTS-TR", 10_553),
            _static("DUTS-TE", 5_019),
            _static("ecssd", 1_000),
            _static("BIG_small", 150),
            _static("HRSOD_small", 2_010),
        ),
        licence=_STATIC_LICENCE,
        page="https://github.com/hkchengrex/STCN",
        groups=("paper",),
    ),
    _imagenet(
        "resnet18",
        "resnet18-f37072fd.pth",
        46_830_571,
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
    ),
    _imagenet(
        "resnet50",
        "resnet50-0676ba61.pth",
        102_530_333,
        "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    ),
)

SOURCES: Registry[Source] = Registry("data set", {source.name: source for source in _ALL})


def chosen(names: Iterable[str], sources: Registry[Source] = SOURCES) -> list[Source]:
    """The sources of some names, groups (`paper`, `davis`, `youtube2018`, …) or `all`, each once, in the table's order.

    An unknown name raises `UserError` with the names that are close to it.
    """
    groups: dict[str, list[str]] = {"all": list(sources)}
    for source in sources.values():
        for group in source.groups:
            groups.setdefault(group, []).append(source.name)
    known = Registry("data set", {**{name: [name] for name in sources}, **groups})
    wanted = {single for name in names for single in known[name]}
    return [source for source in sources.values() if source.name in wanted]
