"""What torch lacks among optimizers and schedules."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

OptimizerFactory = Callable[[Iterable[Any]], Optimizer]


def sgd(parameters: Iterable[Any]) -> Optimizer:
    """Return SGD as the paper of self-blended images sets it."""
    return SGD(parameters, lr=1e-3, momentum=0.9)


class SAM(Optimizer):
    """Step by the gradient at the worst point near the weights, which favours flat minima.

    Foret et al., ICLR 2021, https://arxiv.org/abs/2010.01412, algorithm 1. Every step takes two
    passes over the batch; batch norms see both. `perturbed` is true during the second.

    Args:
        params: Parameters, or groups of them.
        base: Makes the optimizer that steps.
        rho: Radius of the neighbourhood.
    """

    def __init__(
        self, params: Iterable[Any], base: OptimizerFactory = sgd, rho: float = 0.05
    ) -> None:
        if rho <= 0:
            raise ValueError(f"rho must be above 0, got {rho}")
        super().__init__(params, {"rho": rho})
        self.base = base(self.param_groups)
        self.perturbed = False
        self.defaults = {**self.base.defaults, **self.defaults}
        self._share()

    def _share(self) -> None:
        """Let schedules and checkpoints reach the base through this optimizer."""
        self.base.param_groups = self.param_groups
        self.base.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state."""
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # noqa: ANN401
        """Step; the closure clears the gradients, computes the loss and its gradients.

        Returns:
            The loss at the weights, before the step.
        """
        if closure is None:
            raise RuntimeError("SAM needs a closure that computes the loss and its gradients again")
        with torch.enable_grad():
            loss = closure()
        before = self._climb()
        self.perturbed = True
        try:
            with torch.enable_grad():
                closure()
        finally:
            self.perturbed = False
            for parameter, value in before:
                parameter.copy_(value)
        self.base.step()
        return loss

    def _climb(self) -> list[tuple[Tensor, Tensor]]:
        """Move the weights to the worst point, rho along the gradient; return where they were."""
        moving = [
            (parameter, group["rho"])
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if not moving:
            return []
        norm = torch.stack([parameter.grad.norm() for parameter, _ in moving]).norm()
        before = [(parameter, parameter.clone()) for parameter, _ in moving]
        for parameter, rho in moving:
            parameter.add_(parameter.grad * (rho / (norm + 1e-12)))
        return before


class LateLinearDecay(LRScheduler):
    """Keep the learning rate, then lower it linearly to 0.

    Args:
        optimizer: Whose learning rate.
        epochs: Epochs in all.
        start: Epoch after which it sinks.
    """

    def __init__(self, optimizer: Optimizer, epochs: int, start: int, last_epoch: int = -1) -> None:
        if not 0 <= start < epochs:
            raise ValueError(f"start must lie between 0 and epochs {epochs}, got {start}")
        self.epochs = epochs
        self.start = start
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """Return the learning rate of each group for the current epoch."""
        late = max(0, self.last_epoch - self.start)
        factor = max(0.0, 1 - late / (self.epochs - self.start))
        return [rate * factor for rate in self.base_lrs]
