"""A local page to draw masks on frames, and to correct what a network makes of them.

Reading order: `recordings` (which videos, and where their masks lie), `session` (what is drawn, and how it is saved),
`pictures` (frames for the page), `propagation` (the network, in a thread), `gate` (who may ask), `server` (what can be
asked), `run`. The page itself lies in `static`.
"""
