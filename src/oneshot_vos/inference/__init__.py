"""Segmenting videos with a trained network.

Reading order: `plan` (what happens to each frame), `propagate` (the loop), `object_memory` (what the network
remembers), `bank` (the memory; `grouped`, `long_term` and `frame_bank` are its other kinds), then `given`
(masks that are given), `walk` (from frames to ids), `video` (one video forwards) and `writer` (a set of videos to one
archive).
"""
