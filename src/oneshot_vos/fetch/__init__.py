"""Getting public data sets and official weights.

`sources` and `weights` (what there is), `obtain` (from a name to what it stands for) with `download`, `pins`
(checksums), `archives` (what they and folders hold) and `disk`; `listing` (what `--dry-run` prints).
"""
