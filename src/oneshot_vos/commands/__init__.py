"""The commands of `oneshot-vos`: thin. What a command needs is imported when it runs: help answers at once."""
