"""Tensors by name."""

import torch


def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).state_dict()


def others():
    base = torch.arange(12.0).reshape(3, 4)
    return {
        "tied and overlapping": {"a": base, "b": base, "c": base[1:], "d": base.T, "e": base[:1].expand(3, 4)},
        "types": {
            "half": torch.ones(2, dtype=torch.bfloat16), "flags": torch.tensor([True]), "one": torch.tensor(2.5),
            "none": torch.zeros(0, 3), "eight": torch.ones(2, dtype=torch.float8_e4m3fn),
        },
        "conjugate": {"a": torch.tensor([1 + 2j]).conj(), "b": torch.tensor([1 + 2j]).conj().imag},
        "a parameter": {"a": torch.nn.Parameter(torch.ones(2))},
    }  # fmt: skip


def same(made, got):
    assert set(got) == set(made)
    for name, tensor in made.items():
        assert (got[name].dtype, got[name].shape) == (tensor.dtype, tensor.shape), name
        # float8 has no equality of its own
        assert torch.equal(got[name].to(torch.complex64), tensor.detach().to(torch.complex64)), name


def refused():
    return {
        "a module": torch.nn.Linear(2, 2),
        "one tensor": torch.zeros(2),
        "a sparse one": {"a": torch.eye(3).to_sparse()},
        "one without data": {"a": torch.zeros(2, device="meta")},
        "a type that it has not": {"a": torch.zeros(2, dtype=torch.complex128)},
        "something else beside a tensor": {"a": torch.zeros(1), "b": object()},
    }
