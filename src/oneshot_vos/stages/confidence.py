"""How far masks can be trusted, and which frames should be labelled next: `confidence.csv` and `next.csv`."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oneshot_vos.errors import UserError
from oneshot_vos.files import fingerprint, read_json, sha256_of, write_json, write_text
from oneshot_vos.inference.confidence import Row, measure_confidence
from oneshot_vos.inference.given import GivenMasks
from oneshot_vos.stages.segment_files import CONFIDENCE, CONFIDENCE_STAMP, MASKS, STAMP, Output
from oneshot_vos.videos.frames import FrameSource

if TYPE_CHECKING:
    from oneshot_vos.stages.segment import Options, Segmenter

NEXT = "next.csv"
_FORMAT = "oneshot-vos confidence 1"  # to be raised where other numbers come out


def write_confidence(
    segmenter: "Segmenter", source: FrameSource, given: GivenMasks, folder: Output, options: "Options"
) -> Path:
    """Write `confidence.csv` into a folder of results that is complete; its path.

    All arguments are those of `Segmenter.segment`, which calls this itself where `options.confidence` is set. A file
    that was made from the same masks is kept. Takes about as long as segmenting; where the entropy of the masks was
    not noted as they were made, about twice as long.
    """
    path, stamp = folder.path / CONFIDENCE, _stamp(folder.path, source)
    if path.exists() and _read_stamp(folder.path) == stamp:
        return path
    (folder.path / CONFIDENCE_STAMP).unlink(missing_ok=True)
    raise NotImplementedError
