"""The memory of this kernel: what holds it, for the error of a cell that ran out of it, and how much
of a GPU it may be.

Injected into the kernel, as agent.py is.
"""

import gc

import torch
from _jupyterlite_torch_size import human_size

#: So many holders are named, the largest first.
NAMED = 8


def share_gpus(share):
    """Let torch in this kernel take no more than this part of each GPU's memory. A courtesy to other
    kernels: any cell can take it back."""
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            torch.cuda.set_per_process_memory_fraction(share, index)


def holders(namespace):
    """Return lines that say which names hold tensors and how much, on the GPU where there is one."""
    wanted = "cuda" if torch.cuda.is_available() else "cpu"
    seen = set()
    held = {}
    for name, value in list(namespace.items()):
        if name in ("_", "__", "___", "In", "Out", "_oh"):
            continue
        if nbytes := sum(_new_bytes(tensor, wanted, seen) for tensor in _tensors(value)):
            held[f"`{name}`"] = nbytes
    # What only results, closures and the like hold.
    loose = (item for item in gc.get_objects() if isinstance(item, torch.Tensor))
    if nbytes := sum(_new_bytes(tensor, wanted, seen) for tensor in loose):
        held["tensors under no name (such as `Out`, a traceback or a closure)"] = nbytes
    largest = sorted(held.items(), key=lambda item: -item[1])
    lines = [f"{human_size(nbytes):>10}  {name}" for name, nbytes in largest[:NAMED]]
    if len(largest) > NAMED:
        lines.append(
            f"{human_size(sum(n for _, n in largest[NAMED:])):>10}  in {len(largest) - NAMED} more"
        )
    if wanted == "cuda":
        for index in range(torch.cuda.device_count()):
            cached = torch.cuda.memory_reserved(index) - torch.cuda.memory_allocated(index)
            free, total = torch.cuda.mem_get_info(index)
            lines.append(
                f"cuda:{index}: {human_size(free)} of {human_size(total)} are free, and {human_size(cached)} are kept "
                "by PyTorch for reuse (`torch.cuda.empty_cache()` gives them back)"
            )
    where = "on the GPU" if wanted == "cuda" else "in memory"
    return "\n".join([f"Held {where} by this session (`del NAME` lets go of it):", *lines])


def _tensors(value, depth=4):
    """Yield the tensors that a value holds, as containers, modules and optimizers do."""
    if isinstance(value, torch.Tensor):
        yield value
        if value.grad_fn is None and value.grad is not None:
            yield value.grad
    elif depth and isinstance(value, torch.nn.Module):
        for tensor in (*value.parameters(), *value.buffers()):
            yield from _tensors(tensor)
    elif depth and isinstance(value, torch.optim.Optimizer):
        yield from _tensors(dict(value.state), depth - 1)
    elif depth and isinstance(value, dict):
        for item in list(value.values()):
            yield from _tensors(item, depth - 1)
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for item in list(value):
            yield from _tensors(item, depth - 1)


def _new_bytes(tensor, device, seen):
    """Return the bytes of a tensor's storage, 0 if they were counted already."""
    if tensor.device.type != device:
        return 0
    try:
        storage = tensor.untyped_storage()
    except (RuntimeError, NotImplementedError):
        return 0  # Sparse and nested tensors have none.
    if storage.data_ptr() in seen:
        return 0
    seen.add(storage.data_ptr())
    return storage.nbytes()
