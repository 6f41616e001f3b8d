"""Training with several processes, by DDP or FSDP, with the same losses and metrics as a single process.

The processes are those of ``accelerate launch`` or ``torchrun``. They share the clips of a step, every sum in a loss
runs over all of them, and DDP or FSDP averages the gradients. So the weights follow the same path as in one process
with the same clips. The exception is batch normalisation on CPUs, which sees only the clips of its own process.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from multiemo.encoders.base import Encoder
from multiemo.types import Batch

T = TypeVar("T", bound=nn.Module)

#: Layers in a list of four or more are sharded individually if they have more parameters than this.
LAYER_PARAMETERS = 1_000_000
#: Timeout of waiting for a process that still prepares data; collectives of the training itself time out in minutes.
PREPARATION_TIMEOUT = timedelta(days=7)


def leave_processes() -> None:
    """Leave the group of training processes, if there is one: the last call of a process that trained.

    A process that exits as a member may be aborted by threads of the group that still run.
    """
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


class ProcessBarrier:
    """A barrier with a long timeout, at which training processes wait while others still prepare data.

    The collectives of the training itself time out after minutes, since a longer delay means that a process has died.
    Decoding a corpus may take hours, so processes that have finished their share wait at this barrier.

    Args:
        accelerator: accelerator that knows the processes.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.rank, self.processes = accelerator.process_index, accelerator.num_processes
        self._group: Any = dist.new_group(backend="gloo", timeout=PREPARATION_TIMEOUT) if self.processes > 1 else None

    def wait(self) -> None:
        """Block until all processes have called this."""
        if self._group is not None:
            dist.barrier(self._group)

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Run the block in the first process, then in the others."""
        if self.rank > 0:
            self.wait()
        yield
        if self.rank == 0:
            self.wait()


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Any) -> Any:
        # Each process has the same loss, but only its own clips' share of the sum; DDP averages the gradients later.
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
    """Sum of a tensor over all processes, in each of them; the gradient is correct after averaging over processes."""
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
    """The values of all processes, in each of them, in the order of the processes."""
    if not (dist.is_initialized() and dist.get_world_size() > 1):
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


class Replica:
    """The module that this process trains: the original, a DDP replica, or an FSDP shard.

    Args:
        module: module to train; with FSDP a copy is sharded and the module itself is not changed.
        accelerator: accelerator that knows the processes and devices.
        shard: use FSDP instead of DDP: parameters, gradients and optimiser state are split among the processes.

    Attributes:
        inner: module whose parameters are passed to the optimiser.
        outer: module to call in a training step.
    """

    def __init__(self, module: T, accelerator: Accelerator, *, shard: bool) -> None:
        self.accelerator = accelerator
        several = accelerator.num_processes > 1
        self.sharded = shard and several
        self.inner: nn.Module = copy.deepcopy(module) if self.sharded else module
        self.inner.to(accelerator.device)
        self.outer: nn.Module = self.inner
        if self.sharded:
            self._shard()
        elif several:
            # A batch may lack a modality, and an encoder may be unfrozen later, so the set of used parameters varies.
            self.outer = DistributedDataParallel(self.inner, find_unused_parameters=True)

    @contextmanager
    def step(self, batch: Batch, *, for_more: bool) -> Iterator[None]:
        """Context for the forward and backward pass of this process's share of a batch.

        Args:
            batch: this process's share; its ``together`` describes the batch of all processes.
            for_more: do not exchange gradients yet, as more batches of the same step follow.
        """
        with ExitStack() as stack:
            if for_more and isinstance(self.outer, DistributedDataParallel):
                stack.enter_context(self.outer.no_sync())
            if self.sharded:
                self.inner.set_requires_gradient_sync(not for_more)  # type: ignore[operator]
            for m, steps in batch.together.items():
                rows, single_step = batch.rows[m], steps == 1
                if single_step or (rows is not None and rows.numel() == 0):
                    encoder: Any = self.inner.model.encoders[m]  # type: ignore[union-attr, index]
                    stack.enter_context(_frozen_norms(encoder, joining=steps > 1))
            yield

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Context in which submodules can be called on their own, as validation does."""
        if not self.sharded:
            yield
            return
        from torch.distributed.fsdp import FSDPModule

        shards = [m for m in self.inner.modules() if isinstance(m, FSDPModule)]
        for shard in shards:
            # Keep the full weights after a forward pass, since a share of validation may lack a modality.
            shard.set_reshard_after_forward(False, recurse=False)
            shard.unshard()
        try:
            yield
        finally:
            for shard in shards:
                shard.reshard()
                shard.set_reshard_after_forward(shard is not self.inner, recurse=False)

    def _shard(self) -> None:
        """Shard every large layer in a list of four or more on its own, then everything else (FSDP2, Zhao et al. 2023).

        Each call of such a layer gathers its weights, so encoders called once per clip are not sharded by layer.
        """
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        for parameter in self.inner.parameters():  # FSDP requires contiguous parameters and no scalars
            parameter.data = parameter.data.contiguous() if parameter.ndim else parameter.data.reshape(1)
        apart = [m for m in self.inner.modules() if isinstance(m, Encoder) and m.clip_by_clip]
        whole_modules = {inner for encoder in apart for inner in encoder.modules()}
        mesh = init_device_mesh(self.accelerator.device.type, (self.accelerator.num_processes,))
        lists = [m for m in self.inner.modules() if isinstance(m, nn.ModuleList) and len(m) >= 4]
        for layer in [layer for layers in lists if layers not in whole_modules for layer in layers]:
            if sum(p.numel() for p in layer.parameters()) > LAYER_PARAMETERS:
                fully_shard(layer, mesh=mesh)
        fully_shard(self.inner, mesh=mesh)


def share_norms(module: nn.Module) -> None:
    """Convert batch normalisations of a module to synchronised ones, over the clips of all processes, in place.

    Torch's converter drops the activation inside timm's norms, and timm's drops it from norms that are already
    converted. Hooks on a norm are lost, so register them afterwards.
    """
    from timm.layers import convert_sync_batchnorm

    for owner in list(module.modules()):
        for name, child in owner.named_children():
            if isinstance(child, _BatchNorm) and not isinstance(child, nn.SyncBatchNorm):
                setattr(owner, name, convert_sync_batchnorm(child))


@contextmanager
def _frozen_norms(module: nn.Module, *, joining: bool) -> Iterator[None]:
    """Context in which batch normalisations use their running statistics without updating them.

    Args:
        module: module whose norms are affected.
        joining: take part, without clips, in the synchronised statistics that the other processes compute.
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.training]
    hooks = [m.register_forward_pre_hook(_join) for m in norms if joining and isinstance(m, nn.SyncBatchNorm)]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for norm in norms:
            norm.train()


def _join(norm: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    """Forward pre-hook of a norm: take part in the synchronised statistics and their gradients with an empty batch."""
    if norm.training:  # the recursive call below
        return None
    norm.training = True
    try:
        empty: Tensor = norm(inputs[0][:0])
    finally:
        norm.training = False
    return (inputs[0] + empty.sum(),)


def full_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gather sharded tensors in every process; others are returned unchanged. All processes must call this."""
    return {k: v.full_tensor() if isinstance(v, DTensor) else v for k, v in tensors.items()}


def sharded_like(tensor: Tensor, model: Tensor) -> Tensor:
    """Reshape a full tensor like ``model``, and shard it likewise if that is sharded."""
    tensor = tensor.reshape(model.shape)
    if not isinstance(model, DTensor):
        return tensor
    return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements)
