"""The number format that trains fastest here."""

from typing import Literal

import torch


def fast_precision(accelerator: str = "auto") -> Literal["bf16-mixed", "32-true"]:
    """Return bfloat16 where the hardware multiplies it, else float32, as Lightning names them.

    Elsewhere bfloat16 is emulated, many times slower than float32.

    Args:
        accelerator: As of Lightning's trainer: "auto", "cpu", "gpu", "cuda" or another.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        has_it = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # torch has no public name for it; versions without this one leave it at float32
        asks = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        has_it = accelerator in ("auto", "cpu") and asks is not None and bool(asks())
    return "bf16-mixed" if has_it else "32-true"
