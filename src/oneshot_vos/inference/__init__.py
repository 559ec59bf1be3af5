"""Segmenting videos with a trained network.

Reading order: `plan` (what happens to each frame), `propagate` (the loop), `orientation` (what the network remembers),
`bank` (the memory; `grouped`, `long_term` and `official` are its other kinds), then `video` (files to ids) and `writer`
(a set of videos to one archive).
"""

from oneshot_vos.inference.copy_first import copy_first
from oneshot_vos.inference.plan import InferenceSettings, LongTerm
from oneshot_vos.inference.video import segment_video
from oneshot_vos.inference.writer import Report, segment_set

__all__ = ["InferenceSettings", "LongTerm", "Report", "copy_first", "segment_set", "segment_video"]
