"""A folder as `segment-all` and `adapt` leave it, tiny, for tests of the page made from it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from oneshot_vos.reporting.overlay_video import write_overlay
from oneshot_vos.videos.masks import write_mask

SIZE = (48, 64)


class Results:
    """`root`: the folder of `adapt`; results lie in `root/segmented`, or in `root` itself with `inner=""`."""

    def __init__(self, root: Path, inner: str = "segmented") -> None:
        self.root, self.folder = root, root / inner
        self.folder.mkdir(parents=True, exist_ok=True)

    def add(
        self,
        name: str,
        frames: int = 6,
        *,
        objects: Sequence[int] = (1, 2),
        overlay: bool = True,
        source: bool = True,
        low: int | None = 3,
    ) -> Path:
        """A video of `frames` frames; low: the frame that is least certain, None: no confidence is written."""
        folder, pictures = self.folder / name, self.root / "videos/JPEGImages" / name
        names = [f"{t:05}" for t in range(frames)]
        rng = np.random.default_rng(frames)
        pairs = []
        pictures.mkdir(parents=True, exist_ok=True)
        for t, stem in enumerate(names):
            frame = rng.integers(60, 190, (*SIZE, 3), np.uint8)
            ids = np.zeros(SIZE, np.int32)
            for place, number in enumerate(objects):
                ids[8 + 16 * place : 20 + 16 * place, 5 + 4 * t : 20 + 4 * t] = number
            Image.fromarray(frame).save(pictures / f"{stem}.jpg")
            write_mask(folder / "masks" / f"{stem}.png", ids)
            pairs.append((frame, ids))
        if overlay:
            write_overlay(folder / "overlay.mp4", pairs, 6.0)
        record = {"video": str(pictures if source else "gone"), "masks": {names[0]: "m.png"}, "objects": list(objects)}
        (folder / "segment.json").write_text(json.dumps(record), encoding="utf-8")
        if low is not None:
            lines = ["frame,object,agreement,reconstruction,entropy,confidence"]
            for t, stem in enumerate(names):
                for number in (0, *objects):
                    lines.append(f"{stem},{number},,0.9000,0.1000,{0.25 if t == low else 0.95:.4f}")
            (folder / "confidence.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder

    def suggest(self, *rows: tuple[str, str, float, str]) -> None:
        """Video, frame, confidence and why of every frame that deserves a mask, best first."""
        lines = ["rank,video,frame,confidence,gain,why"]
        lines += [f'{rank},{v},{f},{c:.4f},0.1,"{why}"' for rank, (v, f, c, why) in enumerate(rows, 1)]
        (self.folder / "next.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def adapt(self, *videos: str, kept: str = "adapted") -> None:
        """The record of two rounds."""
        known = {"frames": 6, "masks": ["00000"], "objects": [1, 2], "agreement_before": 0.7, "agreement_after": 0.8}
        rounds = [
            {
                "round": number,
                "iterations": 40,
                "minutes": 1.5,
                "masks": number,
                "agreement": [[0, 0.7], [20, 0.75], [40, 0.8]],
                "loss": [[10, 0.5], [20, 0.4], [40, 0.3]],
            }
            for number in (1, 2)
        ]
        content = {
            "started_from": "small-davis17",
            "kept": kept,
            "why": "agreement rose from 70.0 to 80.0 %",
            "rounds": rounds,
            "videos": dict.fromkeys(videos, known),
        }
        (self.root / "adapt.json").write_text(json.dumps(content), encoding="utf-8")
