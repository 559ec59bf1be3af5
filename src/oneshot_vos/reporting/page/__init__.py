"""Pages to look at in a browser: of a pipeline profile, and of own videos. Each is one folder that works from disk."""
