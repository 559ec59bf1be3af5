"""Getting the public data sets into the folders that the profile `paper` reads.

Read in this order: `sources` (what there is and where it comes from), `layout` (what a folder must hold, and whether
it does), `obtain` (from a name to a finished folder), and what that uses: `web` and `drive` (downloads), `checksums`
(what a file must be), `archives` (unpacking), `locks` (several processes), `report` (what `--dry-run` prints).
"""
