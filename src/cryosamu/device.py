"""Where tensors are computed: the processor or an accelerator, by name."""

from __future__ import annotations

import torch

from cryosamu.errors import ConfigError


def choose_device(name: str, *, automatic_mps: bool = False) -> torch.device:
    """Return the torch device for `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    Parameters
    ----------
    automatic_mps
        Whether `auto` may be an Apple GPU, where there is no CUDA: it has no float64, which only
        enhancing does without.

    Raises
    ------
    ConfigError
        When the name is none of these, or this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        apple = automatic_mps and torch.backends.mps.is_available()
        return torch.device("mps" if apple else "cpu")
    if name == "mps" and torch.backends.mps.is_available():
        return torch.device("mps")
    if name == "mps":
        raise ConfigError("the device 'mps' is not there; ask for auto or cpu.")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise ConfigError(f"'{name}' is not a device; it is auto, cpu, cuda, cuda:N or mps.")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"the device '{name}' is not there; this machine has "
            f"{torch.cuda.device_count()} CUDA devices, so ask for auto or cpu."
        )
    return torch.device(name)


def choose_devices(names: str) -> list[torch.device]:
    """Return the torch devices to enhance on, for one name, or for several with commas between.

    Raises
    ------
    ConfigError
        As `choose_device`, and when the devices are not all of one kind.
    """
    devices = [choose_device(name.strip(), automatic_mps=True) for name in names.split(",")]
    if len({device.type for device in devices}) > 1:
        raise ConfigError(f"'{names}' names devices of different kinds; name one kind.")
    return devices


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a device multiplies in bfloat16 faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return device.type == "cpu" and _processor_has("avx512_bf16", "amx_bf16")


def has_int8(device: torch.device) -> bool:
    """Tell whether this is a processor that multiplies 8-bit numbers faster still."""
    return (
        device.type == "cpu"
        and _processor_has("avx512_vnni", "amx_int8", "avx_vnni")
        and hasattr(torch.ops.onednn, "qconv_pointwise")
    )


def _processor_has(*features: str) -> bool:
    # Older versions of PyTorch do not tell.
    known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(known.get(feature, False) for feature in features)
