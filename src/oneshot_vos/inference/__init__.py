"""Segmenting videos with a trained network.

Reading order: `plan` (what happens to each frame), `propagate` (one video on its way through a network),
`object_memory` (what the network remembers), `bank` (the memory; `grouped`, `long_term` and `frame_bank` are its other
kinds), then `given` (masks that are given), `walk` (from frames to ids), `video` (one video forwards), `writer` (a set
of videos to one archive) and `tracker` (frame by frame, for a loop of one's own). `confidence` and `ranking` say how
far masks can be trusted and which frames deserve another one; `pseudo_labels` makes labels of masks.
"""
