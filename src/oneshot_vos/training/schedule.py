"""Optimiser and learning-rate schedule, as the recipe says."""

import math

from torch import optim

from oneshot_vos.networks.common.interface import Network
from oneshot_vos.params import Optimiser, Schedule


def build_optimiser(recipe: Optimiser, network: Network) -> optim.Optimizer:
    """The recipe's optimiser over every parameter that learns, in the network's own groups.

    `adam` adds weight decay to the gradient (as STCN was trained), `adamw` applies it to the weights (XMem, Cutie).
    """
    groups = [
        {"params": group.parameters, "scale": group.rate, "weight_decay": group.decay * recipe.weight_decay}
        for group in network.parameter_groups()
    ]
    kind = {"adam": optim.Adam, "adamw": optim.AdamW}[recipe.name]
    return kind(groups, lr=recipe.learning_rate, eps=recipe.epsilon)


def learning_rate_factor(recipe: Schedule, iteration: int, iterations: int) -> float:
    """What the base learning rate is multiplied by at `iteration` (from 0) of `iterations`.

    A linear rise over the first `warmup` iterations; then `multistep`: times `factor` at each milestone passed, or
    `cosine`: half a cosine from 1 to `factor`.
    """
    warmup = min(1.0, (iteration + 1) / (recipe.warmup + 1))
    if recipe.name == "multistep":
        return warmup * recipe.factor ** sum(iteration >= milestone for milestone in recipe.milestones)
    progress = iteration / max(iterations, 1)
    return warmup * (recipe.factor + (1 - recipe.factor) * 0.5 * (1 + math.cos(math.pi * progress)))


def set_learning_rate(optimiser: optim.Optimizer, learning_rate: float) -> None:
    """Give every parameter group this learning rate, times the group's own `scale` where it has one."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate * group.get("scale", 1.0)
