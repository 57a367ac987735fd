"""Adversarial losses on logits: what the discriminator and the generator each make small.

With s the logistic function, D = s(logit), softplus(x) = log(1 + e^x) = -log(1 - s(x)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import relu, softplus

PairLoss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class AdversarialLoss:
    """Two functions of (real logits, made logits), each a scalar mean.

    ``needs_real`` tells whether the generator's depends on real pictures at all.
    """

    name: str
    discriminator: PairLoss
    generator: PairLoss
    needs_real: bool


def _standard_discriminator(real: Tensor, made: Tensor) -> Tensor:
    return softplus(-real).mean() + softplus(made).mean()


def _standard_generator(real: Tensor, made: Tensor) -> Tensor:
    del real
    return softplus(-made).mean()


def _relativistic_discriminator(real: Tensor, made: Tensor) -> Tensor:
    above, below = real - made.mean(), made - real.mean()
    return (softplus(-above).mean() + softplus(below).mean()) / 2


def _relativistic_generator(real: Tensor, made: Tensor) -> Tensor:
    above, below = real - made.mean(), made - real.mean()
    return (softplus(above).mean() + softplus(-below).mean()) / 2


def _hinge_discriminator(real: Tensor, made: Tensor) -> Tensor:
    return relu(1 - real).mean() + relu(1 + made).mean()


def _hinge_generator(real: Tensor, made: Tensor) -> Tensor:
    del real
    return -made.mean()


ADVERSARIAL_LOSSES: dict[str, AdversarialLoss] = {
    loss.name: loss
    for loss in (
        # Goodfellow et al. 2014; the generator's is Ledig et al. 2017, equation 6: -log D(G(x)).
        AdversarialLoss("standard", _standard_discriminator, _standard_generator, False),
        # Relativistic average GAN (Jolicoeur-Martineau, ICLR 2019), as in ESRGAN (Wang 2018).
        AdversarialLoss("relativistic", _relativistic_discriminator, _relativistic_generator, True),
        # Lim & Ye 2017; Miyato et al., ICLR 2018.
        AdversarialLoss("hinge", _hinge_discriminator, _hinge_generator, False),
    )
}
