"""Where each public data set comes from, where it goes, and what it must hold: facts, no behaviour.

The folders are those of the official STCN, XMem and Cutie code, so that an existing tree is used as it is. A size or
checksum that nobody published is None: it is pinned when first seen (`pins`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from oneshot_vos.registry import Registry

DRIVE = "https://drive.google.com/file/d/"


class Count(NamedTuple):
    """How many entries of a folder match a glob `pattern`, folders alone if it ends with a slash.

    `number` None wants at least one. With `sure` False (the copy offered was never counted), another is accepted.
    """

    what: str
    pattern: str
    number: int | None = None
    sure: bool = True


@dataclass(frozen=True)
class Part:
    """One folder that an archive gives: `target`, relative to the root.

    In the archive it is the folder with all `marks` (paths inside it), or, without any, the one of the target's name.
    """

    target: str
    marks: tuple[str, ...] = ()
    counts: tuple[Count, ...] = ()


@dataclass(frozen=True)
class Source:
    """One file to fetch (from the first of `mirrors` that has it) and the parts in it.

    An archive (zip, tar, tar.gz, …) has parts, which are unpacked below the root. A file without parts is placed there,
    or in the cache of `torch.hub`, as it is. `size` in bytes and `checksum` (`sha256:…`, `md5:…`) are those published;
    `about` is only shown.
    """

    name: str
    title: str
    file_name: str
    mirrors: tuple[str, ...]
    page: str
    licence: str = ""
    groups: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    size: int | None = None
    about: int | None = None
    checksum: str | None = None
    torch_hub: bool = False


_DAVIS_LICENCE = "BSD (stated by the official toolkit, without saying whether that covers the frames)"
_YOUTUBE_LICENCE = "annotations CC BY 4.0; the videos for non-commercial research only"
_STATIC_LICENCE = (
    "each set its own, see saliencydetection.net/duts, github.com/yi94code/HRSOD, github.com/HKUSTCV/FSS-1000, "
    "www.cse.cuhk.edu.hk/leojia/projects/hsaliency/dataset.html (ECSSD), github.com/hkchengrex/CascadePSP (BIG)"
)
# The official page leads to a server that asks for an account; the folders are public copies with every package.
_YOUTUBE_PAGE = "https://youtube-vos.org/dataset/vos or drive.google.com/drive/folders/"
_YOUTUBE_FOLDERS = {2018: "1bI5J1H3mxsIGo7Kp-pPZU8i6rnykOw7f", 2019: "1BWzrCWyPEmBEKm0lOHe5KLuBuQxUSwqz"}
_YOUTUBE_ROOTS = {2018: "YouTube2018", 2019: "YouTube"}


def _davis(target: str, videos: int, frames: int, *lists: str) -> tuple[Part, ...]:
    counts = (
        Count("videos", "JPEGImages/480p/*/", videos),
        Count("frames", "JPEGImages/480p/*/*.jpg", frames),
        Count("masks", "Annotations/480p/*/*.png", frames),
    )
    return (Part(target, ("JPEGImages/480p", "Annotations/480p", *lists), counts),)


def _youtube(year: int, package: str, file_id: str, videos: int, about: int | None = None) -> Source:
    """One package of YouTube-VOS: `train`, `valid`, or `valid_all_frames`, which has frames only."""
    # The official pages count the videos of the first two packages; that with all frames may hold others, too.
    frames = Count("videos", "JPEGImages/*/", videos, sure=package != "valid_all_frames")
    if package == "valid_all_frames":
        part = Part(f"{_YOUTUBE_ROOTS[year]}/all_frames/{package}", ("JPEGImages",), (frames,))
    else:
        marks = ("JPEGImages", "Annotations", "meta.json")
        part = Part(
            f"{_YOUTUBE_ROOTS[year]}/{package}", marks, (frames, Count("videos with masks", "Annotations/*/", videos))
        )
    # The two training packages have the same videos; the paper trains on 2018.
    read_by_paper = (year, package) != (2019, "train")
    return Source(
        name=f"youtube{year}-{package.replace('_', '-')}",
        title=f"YouTube-VOS {year}, {package.replace('_', ' ')}",
        file_name=f"youtube-vos-{year}-{package}.zip",
        mirrors=(DRIVE + file_id,),
        page=_YOUTUBE_PAGE + _YOUTUBE_FOLDERS[year],
        licence=_YOUTUBE_LICENCE,
        groups=(f"youtube{year}", *(("paper",) if read_by_paper else ())),
        parts=(part,),
        about=about,
    )


def _static(folder: str, pairs: int) -> Part:
    """A set of images with masks beside them, in which nobody counted the copy that is offered."""
    counts = Count("images", "**/*.jpg", pairs, sure=False), Count("masks", "**/*.png", pairs, sure=False)
    return Part(f"static/{folder}", counts=counts)


def _imagenet(trunk: str, size: int, sha256: str) -> Source:
    file_name = f"{trunk}-{sha256[:8]}.pth"
    return Source(
        name=f"imagenet-{trunk}",
        title=f"ImageNet weights of torchvision's {trunk}",
        file_name=file_name,
        mirrors=(f"https://download.pytorch.org/models/{file_name}",),
        page="https://docs.pytorch.org/vision/stable/models.html",
        licence="BSD 3-clause (torchvision); ImageNet is for non-commercial research",
        groups=("imagenet", "paper"),
        size=size,
        checksum=f"sha256:{sha256}",
        torch_hub=True,
    )


_ALL = (
    Source(
        name="davis2016",
        title="DAVIS 2016",
        file_name="DAVIS-data.zip",
        mirrors=(
            "https://graphics.ethz.ch/Downloads/Data/Davis/DAVIS-data.zip",
            DRIVE + "198aRlh5CpAoFz0hfRgYbiNenn_K8DxWD",
        ),
        page="https://davischallenge.org/davis2016/code.html",
        licence=_DAVIS_LICENCE,
        groups=("davis", "paper"),
        parts=_davis("DAVIS/2016", 50, 3455),
        about=1_900_000_000,
    ),
    Source(
        name="davis2017",
        title="DAVIS 2017, trainval, 480p",
        file_name="DAVIS-2017-trainval-480p.zip",
        mirrors=(
            "https://data.vision.ee.ethz.ch/csergi/share/davis/DAVIS-2017-trainval-480p.zip",
            DRIVE + "1kiaxrX_4GuW6NmiVuKGSGVoKGWjOdp6d",
        ),
        page="https://davischallenge.org/davis2017/code.html",
        licence=_DAVIS_LICENCE,
        groups=("davis", "paper"),
        parts=_davis(
            "DAVIS/2017/trainval",
            90,
            6208,
            *("ImageSets/2016/val.txt", "ImageSets/2017/train.txt", "ImageSets/2017/val.txt"),
        ),
        size=832_766_765,
        checksum="sha256:e3d0b5b77c3d031b000a19e0e25e3e2cac65d183755601bc2cf066df1a2aa492",
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
        mirrors=(DRIVE + "1wUJq3HcLdN-z1t4CsUhjeZ9BVDb9YKLd",),
        page="https://github.com/hkchengrex/STCN",
        licence=_STATIC_LICENCE,
        groups=("paper",),
        parts=(
            _static("fss", 10_000),
            _static("DUTS-TR", 10_553),
            _static("DUTS-TE", 5_019),
            _static("ecssd", 1_000),
            _static("BIG_small", 150),
            _static("HRSOD_small", 2_010),
        ),
    ),
    _imagenet("resnet18", 46_830_571, "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"),
    _imagenet("resnet50", 102_530_333, "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a"),
)

SOURCES: Registry[Source] = Registry("data set", {source.name: source for source in _ALL})


def chosen(names: Iterable[str], sources: Registry[Source] = SOURCES) -> list[Source]:
    """The sources of some names, groups (`paper`, `davis`, …) or `all`, each once, in the table's order.

    An unknown name raises `UserError` with the names that are close to it.
    """
    known: dict[str, list[str]] = {"all": list(sources), **{name: [name] for name in sources}}
    for source in sources.values():
        for group in source.groups:
            known.setdefault(group, []).append(source.name)
    table = Registry("data set", known)
    wanted = {single for name in names for single in table[name]}
    return [source for source in sources.values() if source.name in wanted]
