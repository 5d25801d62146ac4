import copy

import pytest
import torch
from torch import nn

from deepfake.optimizers import SAM, LateLinearDecay


def plain_sgd(parameters: object) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)  # type: ignore[arg-type]


def test_a_step_of_sam_by_hand() -> None:
    # f(w) = w0^2 + 2 w1^2; gradient (2 w0, 4 w1) = (6, 16) at (3, 4), of length sqrt(292).
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = SAM([weight], plain_sgd, rho=0.5)
    seen: list[bool] = []

    def closure() -> torch.Tensor:
        seen.append(optimizer.perturbed)
        optimizer.zero_grad()
        loss = weight[0] ** 2 + 2 * weight[1] ** 2
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    loss = optimizer.step(closure).detach()
    gradient = torch.tensor([6.0, 16.0])
    worst = torch.tensor([3.0, 4.0]) + 0.5 * gradient / gradient.norm()
    expected = torch.tensor([3.0, 4.0]) - 0.1 * torch.tensor([2.0, 4.0]) * worst
    assert float(loss) == pytest.approx(9 + 32)
    torch.testing.assert_close(weight.detach(), expected)
    assert seen == [False, True]


def test_sam_resumes_with_the_momentum_and_rate_of_its_base() -> None:
    def steps(count: int, network: nn.Linear, optimizer: SAM) -> None:
        for _ in range(count):

            def closure() -> torch.Tensor:
                optimizer.zero_grad()
                loss: torch.Tensor = network(torch.ones(1, 3)).square().sum()
                loss.backward()  # type: ignore[no-untyped-call]
                return loss

            optimizer.step(closure)

    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    optimizer = SAM(network.parameters(), plain_sgd)
    optimizer.param_groups[0]["lr"] = 0.05
    steps(2, network, optimizer)
    other = copy.deepcopy(network)
    resumed = SAM(other.parameters(), plain_sgd)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    steps(2, network, optimizer)
    steps(2, other, resumed)
    torch.testing.assert_close(other.weight, network.weight, rtol=0, atol=0)
    assert resumed.base.param_groups[0]["lr"] == 0.05


def test_sam_needs_its_closure_and_a_radius() -> None:
    weight = nn.Parameter(torch.zeros(1))
    with pytest.raises(RuntimeError, match="closure"):
        SAM([weight]).step()
    with pytest.raises(ValueError, match="rho"):
        SAM([weight], rho=0.0)


def test_late_linear_decay() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = LateLinearDecay(optimizer, epochs=4, start=2)
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.0]
    with pytest.raises(ValueError, match="start"):
        LateLinearDecay(optimizer, epochs=4, start=4)
