"""From files to training batches.

A set goes through these modules in order: `davis` and `static` find its files (`mini` makes some), `check` looks into
them, `index` lists them, `labels` decides which masks may be used, `sampling` chooses the frames of a clip,
`transforms` changes them (`draws`: what is random, `exact` and `composed`: two ways to carry it out), and `clips` puts
batches together. `video`, `images` and `masks` are what all of them speak of and read with.
"""
