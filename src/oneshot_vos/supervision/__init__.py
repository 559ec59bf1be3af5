"""How a network is taught, by name: from every frame's masks, or from the first frame's alone.

What a run has to be checked against stands here, so that no name needs torch to be checked.
"""

from dataclasses import dataclass

from oneshot_vos.registry import Registry


@dataclass(frozen=True)
class StrategySpec:
    """A strategy, as `module:name`, and what it asks of a run.

    labels: which masks it is given, `every`, `some`: those of a frame or a few, or beside one of them `pseudo`: what a
    network has made of the other frames. shortest_clip: the fewest frames it can use. recurrent: whether it can train
    networks with a recurrent state. given: what the trained network is shown of a video's masks, `first` or, for a
    network that learned without any, `empty`: one object, whose mask shows nothing.
    """

    strategy: str
    labels: str = "some"
    shortest_clip: int = 2
    recurrent: bool = True
    given: str = "first"

    @property
    def one_shot(self) -> bool:
        """Whether it is one-shot training as the paper's tables compare it: from masks of a frame or a few."""
        return self.labels == "some" and self.given == "first"


STRATEGIES: Registry[StrategySpec] = Registry(
    "strategy",
    {
        "full": StrategySpec("oneshot_vos.supervision.full:FullSupervision", labels="every"),
        "pseudo": StrategySpec("oneshot_vos.supervision.full:FullSupervision", labels="pseudo"),
        "t_step": StrategySpec("oneshot_vos.supervision.backward:TStep"),
        "two_step": StrategySpec("oneshot_vos.supervision.backward:TwoStep", shortest_clip=3),
        "one_step": StrategySpec("oneshot_vos.supervision.backward:OneStep", recurrent=False),
        "ema_teacher": StrategySpec("oneshot_vos.supervision.ema_teacher:EMATeacher", shortest_clip=3),
        "empty": StrategySpec("oneshot_vos.supervision.empty:EmptyReference", shortest_clip=3, given="empty"),
    },
)
