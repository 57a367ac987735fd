"""The rewritten tail of the SRGAN generator: the sums of the paper at every factor and edge."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from vsr.models.srresnet import SRResNet, phases


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize(("height", "width"), [(7, 11), (1, 1), (16, 5)])
def test_the_forward_pass_equals_the_paper_s_layer_by_layer(
    scale: int, height: int, width: int
) -> None:
    torch.manual_seed(scale)
    module = SRResNet(scale, 8, 2).double().eval()
    pixels = torch.rand(2, 3, height, width, dtype=torch.float64)
    head = module.head(pixels)
    enlarged = module.enlarge(head + module.join(module.blocks(head)))
    straight = functional.conv2d(enlarged, module.tail.weight, module.tail.bias, padding=4)
    torch.testing.assert_close(module(pixels), straight, rtol=0, atol=1e-12)


def test_gradients_reach_the_9x9_kernel_unchanged() -> None:
    kernel = torch.randn(3, 4, 9, 9, dtype=torch.float64, requires_grad=True)
    x = torch.randn(1, 16, 6, 5, dtype=torch.float64)
    straight = functional.conv2d(functional.pixel_shuffle(x, 2), kernel, padding=4)
    fuse_batchnorm = functional.pixel_shuffle(functional.conv2d(x, phases(kernel), padding=2), 2)
    torch.testing.assert_close(fuse_batchnorm, straight)
    weight = torch.randn_like(straight)
    (expected,) = torch.autograd.grad((straight * weight).sum(), kernel)
    (found,) = torch.autograd.grad((fuse_batchnorm * weight).sum(), kernel)
    torch.testing.assert_close(found, expected)
