"""Random numbers of an iteration: the same however its batch is cut."""

import torch

from oneshot_vos.networks.common.generators import Generators


def numbers(generators: Generators) -> list[float]:
    return [float(torch.rand((), generator=own)) for own in generators.clips]


def test_a_clip_draws_the_same_whoever_shares_its_batch() -> None:
    whole = numbers(Generators.of(1, 7, range(4)))
    assert whole == numbers(Generators.of(1, 7, range(2))) + numbers(Generators.of(1, 7, range(2, 4)))
    assert len(set(whole)) == 4


def test_parts_of_an_iteration_share_its_draws() -> None:
    first, second = Generators.of(1, 7, range(2)), Generators.of(1, 7, range(2, 4))
    assert torch.equal(torch.rand(3, generator=first.iteration), torch.rand(3, generator=second.iteration))


def test_seed_and_iteration_decide() -> None:
    draws = [torch.rand(3, generator=Generators.of(seed, step, ()).iteration) for seed in (0, 1) for step in (0, 1)]
    assert len({tuple(drawn.tolist()) for drawn in draws}) == 4
    assert numbers(Generators.of(0, 5, [0])) != numbers(Generators.of(1, 5, [0]))
