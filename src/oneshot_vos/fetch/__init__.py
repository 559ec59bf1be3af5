"""Getting the public data sets into the folders that the profile `paper` reads.

`sources` (what there is), `layout` (what a folder must hold), `obtain` (from a name to a finished folder) with
`download`, `pins` (checksums), `unpack` and `disk`; `listing` (what `--dry-run` prints).
"""
