"""Several processes on one training: DDP or FSDP, with the losses and metrics of a single process.

The processes are those of ``accelerate launch`` or ``torchrun``. The clips of a step are dealt to them, every sum that
a loss is made of is a sum over all of them, and gradients are averaged by DDP or FSDP, so the weights follow the same
path as in one process with the same clips (batch normalisation excepted, which on CPUs knows only the clips of its own
process).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T", bound=nn.Module)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Any) -> Any:
        # Every process has the same loss and only its own clips' share of the sum; DDP then averages the gradients.
        return gradients[0] * dist.get_world_size()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        padded = x.new_zeros((max(sizes), *x.shape[1:]))
        padded[: x.shape[0]] = x
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        rank, sizes = dist.get_rank(), ctx.sizes
        start = sum(sizes[:rank])
        return gradients[0][start : start + sizes[rank]] * len(sizes), None


def sum_over_processes(x: Tensor) -> Tensor:
    """The sum of a tensor over all processes, in every process; its gradient is right once gradients are averaged."""
    several = dist.is_initialized() and dist.get_world_size() > 1
    return _Sum.apply(x) if several else x  # type: ignore[no-any-return,no-untyped-call]


def gather_rows(x: Tensor) -> Tensor:
    """Rows ``[B, ...]`` of all processes, ``[sum of B, ...]``, in the order of the processes; with gradients.

    The number of rows may differ between processes.
    """
    if not (dist.is_initialized() and dist.get_world_size() > 1):
        return x
    sizes = gather_objects(x.shape[0])
    return _Gather.apply(x, sizes)  # type: ignore[no-any-return,no-untyped-call]


def gather_objects(value: Any) -> list[Any]:
    """What each process has, in every process."""
    if not (dist.is_initialized() and dist.get_world_size() > 1):
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


class Replica:
    """A module as this process trains it: itself, a DDP replica, or an FSDP shard.

    Args:
        module: the parts that are trained; with FSDP a copy of it is sharded and the module itself is untouched.
        accelerator: says how many processes there are and where each computes.
        shard: FSDP instead of DDP: parameters, gradients and optimiser state are split among the processes.

    Attributes:
        inner: the module whose parameters the optimiser gets.
        outer: what is called in a training step.
    """

    def __init__(self, module: T, accelerator: Accelerator, *, shard: bool) -> None:
        self.accelerator = accelerator
        several = accelerator.num_processes > 1
        self.sharded = shard and several
        self.inner: nn.Module = copy.deepcopy(module) if self.sharded else module
        self.inner.to(accelerator.device)
        if several and accelerator.device.type == "cuda":
            self.inner = nn.SyncBatchNorm.convert_sync_batchnorm(self.inner)  # type: ignore[no-untyped-call]
        self.outer: nn.Module = self.inner
        if self.sharded:
            self._shard()
        elif several:
            # A batch may lack a modality, and an encoder may thaw later: which parameters take part varies.
            self.outer = DistributedDataParallel(self.inner, find_unused_parameters=True)

    def waiting(self, *, for_more: bool) -> AbstractContextManager[Any]:
        """Around a backward pass: no gradients are exchanged while more batches of the same step follow."""
        if for_more and isinstance(self.outer, DistributedDataParallel):
            return self.outer.no_sync()
        if self.sharded:
            self.inner.set_requires_gradient_sync(not for_more)  # type: ignore[operator]
        return nullcontext()

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Inside, parts of the module can be called by themselves, as validation does."""
        if not self.sharded:
            yield
            return
        from torch.distributed.fsdp import FSDPModule

        shards = [m for m in self.inner.modules() if isinstance(m, FSDPModule)]
        for shard in shards:
            shard.unshard()
        try:
            yield
        finally:
            for shard in shards:
                shard.reshard()

    def _shard(self) -> None:
        """Shard every layer of a longer list of layers by itself, then what is left (FSDP2, Zhao et al. 2023)."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(self.accelerator.device.type, (self.accelerator.num_processes,))
        for layers in [m for m in self.inner.modules() if isinstance(m, nn.ModuleList) and len(m) >= 4]:
            for layer in layers:
                if sum(p.numel() for p in layer.parameters()) > 1_000_000:
                    fully_shard(layer, mesh=mesh)
        fully_shard(self.inner, mesh=mesh)


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Sharded tensors put together, in every process; others as they are. All processes must call this."""
    return {k: v.full_tensor() if isinstance(v, DTensor) else v for k, v in tensors.items()}


def sharded_like(tensor: Tensor, model: Tensor) -> Tensor:
    """A whole tensor split as ``model`` is; as it is where that one is not split."""
    if not isinstance(model, DTensor):
        return tensor
    return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements)
