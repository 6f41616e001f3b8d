from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.support.no_copies import HostCopy, needs_fake_gpu, no_copies

pytestmark = needs_fake_gpu


def put(x: torch.Tensor) -> None:
    x[torch.arange(3, device=x.device), torch.arange(3, device=x.device)] = 1


COPIES = {
    "to": lambda x: torch.zeros(3, 4).to(x.device),
    "copy": lambda x: x.clone().copy_(torch.zeros(3, 4)),
    "tensor": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "set at places": put,
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_to_the_device_is_noticed(name):
    with FakeTensorMode():
        x = torch.zeros(3, 4, device="cuda")
        COPIES[name](x)
        with pytest.raises(HostCopy), no_copies():
            COPIES[name](x)


def test_work_on_the_device_passes():
    with FakeTensorMode():
        x = torch.zeros(3, 4, device="cuda")
        with no_copies():
            x = x * 2 + torch.arange(4, device=x.device)
            x[x > 1] = 0
            x.masked_fill(x < 0, 3.0).sum().to(torch.bfloat16)
