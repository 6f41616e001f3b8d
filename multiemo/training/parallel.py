"""Several processes on one training: DDP or FSDP, with the losses and metrics of a single process.

The processes are those of ``accelerate launch`` or ``torchrun``. The clips of a step are dealt to them, every sum that
a loss is made of is a sum over all of them, and gradients are averaged by DDP or FSDP, so the weights follow the same
path as in one process with the same clips (batch normalisation excepted, which on CPUs knows only the clips of its own
process).
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

#: Layers of a longer list with more parameters than this are sharded one by one.
LAYER_PARAMETERS = 1_000_000
#: How long processes may wait for one that prepares; to train, they wait for each other only minutes.
PATIENCE = timedelta(days=7)


class ProcessBarrier:
    """Where the processes of a training wait while some of them still prepare.

    The collectives of the training itself give up after minutes, for by then somebody has died. Decoding a corpus may
    take hours, so processes that are done with their share wait here.

    Args:
        accelerator: says how many processes there are.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.rank, self.processes = accelerator.process_index, accelerator.num_processes
        self._group: Any = dist.new_group(backend="gloo", timeout=PATIENCE) if self.processes > 1 else None

    def wait(self) -> None:
        """Until all processes are here."""
        if self._group is not None:
            dist.barrier(self._group)

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The first process goes through the block alone, then the others do."""
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
        self.outer: nn.Module = self.inner
        if self.sharded:
            self._shard()
        elif several:
            # A batch may lack a modality, and an encoder may thaw later: which parameters take part varies.
            self.outer = DistributedDataParallel(self.inner, find_unused_parameters=True)

    @contextmanager
    def step(self, batch: Batch, *, for_more: bool) -> Iterator[None]:
        """Around the forward and backward pass of this process's share of a step.

        Args:
            batch: the share; ``together`` says what all processes have.
            for_more: no gradients are exchanged, for more batches of the same step follow.
        """
        with ExitStack() as stack:
            if for_more and isinstance(self.outer, DistributedDataParallel):
                stack.enter_context(self.outer.no_sync())
            if self.sharded:
                self.inner.set_requires_gradient_sync(not for_more)  # type: ignore[operator]
            for m, steps in batch.together.items():
                rows, alone = batch.rows[m], steps == 1
                if alone or (rows is not None and rows.numel() == 0):
                    encoder: Any = self.inner.model.encoders[m]  # type: ignore[union-attr, index]
                    stack.enter_context(_norms_held(encoder, joining=steps > 1))
            yield

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Inside, parts of the module can be called by themselves, as validation does."""
        if not self.sharded:
            yield
            return
        from torch.distributed.fsdp import FSDPModule

        shards = [m for m in self.inner.modules() if isinstance(m, FSDPModule)]
        for shard in shards:
            # Kept after a forward pass, too, for shares of validation may lack a modality.
            shard.set_reshard_after_forward(False, recurse=False)
            shard.unshard()
        try:
            yield
        finally:
            for shard in shards:
                shard.reshard()
                shard.set_reshard_after_forward(shard is not self.inner, recurse=False)

    def _shard(self) -> None:
        """Shard every layer of a longer list of layers by itself, then what is left (FSDP2, Zhao et al. 2023).

        Each call of such a layer puts its weights together, so those that are called once a clip are not among them.
        """
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        for parameter in self.inner.parameters():  # as FSDP takes them: contiguous, and never a scalar
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
    """Make the batch normalisations of a module know the clips of all processes, in place.

    Torch's own converter drops the activation inside timm's norms, and timm's drops it from those it has converted
    before. Hooks on a norm are lost, so they are registered afterwards.
    """
    from timm.layers import convert_sync_batchnorm

    for owner in list(module.modules()):
        for name, child in owner.named_children():
            if isinstance(child, _BatchNorm) and not isinstance(child, nn.SyncBatchNorm):
                setattr(owner, name, convert_sync_batchnorm(child))


@contextmanager
def _norms_held(module: nn.Module, *, joining: bool) -> Iterator[None]:
    """Inside, batch normalisations use their running statistics and leave them as they are.

    Args:
        module: whose.
        joining: the other processes make statistics of what they have; this one has nothing to add, but takes part.
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
    """Before a norm is used: take part in the statistics of all processes, and in their gradients, with no clip."""
    if norm.training:  # the call below
        return None
    norm.training = True
    try:
        none: Tensor = norm(inputs[0][:0])
    finally:
        norm.training = False
    return (inputs[0] + none.sum(),)


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Sharded tensors put together, in every process; others as they are. All processes must call this."""
    return {k: v.full_tensor() if isinstance(v, DTensor) else v for k, v in tensors.items()}


def sharded_like(tensor: Tensor, model: Tensor) -> Tensor:
    """A whole tensor in the shape of ``model``, and split as that is."""
    tensor = tensor.reshape(model.shape)
    if not isinstance(model, DTensor):
        return tensor
    return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements)
