"""Makes unet-configs.safetensors, what Diffusers 0.42.1 computes for each kind of config of its UNet2DModel.

pip install torch diffusers safetensors; python tests/golden/make_unet.py

Weights, images and directions are numbers that follow from their names (`numbers`), which tests make again
(tests/models/unet/formula.ts), so that the file holds outputs alone: of each config y, the loss against `target`, and
the gradient of each parameter along the direction of its name, in the order of names. Attention has v0.11's names.
"""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DModel
from safetensors.torch import save_file


def uniform(name, count):
    """Numbers from -0.5 to 0.5: FNV-1a of the name, then a hash of the place."""
    seed = 2166136261
    for byte in name.encode():
        seed = (seed ^ byte) * 16777619 % 2**32
    x = np.uint32(seed) + np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9)
    x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * np.uint32(0x846CA68B)
    return (x ^ (x >> 16)).astype(np.float64) / 2**32 - 0.5


def numbers(name, shape, scale=1.0, shift=0.0):
    return torch.tensor(uniform(name, int(np.prod(shape))) * scale + shift, dtype=torch.float32).reshape(shape)


def weight(name, shape):
    if len(shape) >= 2:
        fan_in = int(np.prod(shape[1:]))
        return numbers(name, shape, float(np.sqrt(12 / fan_in)))
    if name == "time_proj.weight":
        return numbers(name, shape, 4.0)
    return numbers(name, shape, 0.4, 1.0 if "norm" in name and name.endswith("weight") else 0.0)


def old_name(name):
    for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        name = name.replace(f".{new}.", f".{old}.")
    return name


BASE = {
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "attention_head_dim": 4,
    "norm_num_groups": 4,
}
ATTENTION = {"down_block_types": ["AttnDownBlock2D"] * 2, "up_block_types": ["AttnUpBlock2D"] * 2}
RESNET = {
    "down_block_types": ["ResnetDownsampleBlock2D"] * 2,
    "up_block_types": ["ResnetUpsampleBlock2D"] * 2,
}
SKIP = {
    "block_out_channels": [8, 16, 16],
    "down_block_types": ["SkipDownBlock2D"] * 3,
    "up_block_types": ["SkipUpBlock2D"] * 3,
}
SIX = {
    "layers_per_block": 2,
    "block_out_channels": [8, 8, 16, 16, 16, 16],
    "down_block_types": ["DownBlock2D"] * 4 + ["AttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "AttnUpBlock2D"] + ["UpBlock2D"] * 4,
}
GOOGLE = {
    "freq_shift": 1,
    "flip_sin_to_cos": False,
    "downsample_padding": 0,
    "attention_head_dim": None,
    "norm_eps": 1e-6,
}

CONFIGS = {
    "default": {},
    "center_input_sample": {"center_input_sample": True},
    "fourier": {"time_embedding_type": "fourier"},
    "learned": {"time_embedding_type": "learned", "num_train_timesteps": 100},
    "time_embedding_dim": {"time_embedding_dim": 24},
    "sinusoids": {"freq_shift": 1, "flip_sin_to_cos": False},
    "act_fn gelu": {"act_fn": "gelu"},
    "act_fn mish": {"act_fn": "mish"},
    "act_fn relu": {"act_fn": "relu"},
    "act_fn swish": {"act_fn": "swish"},
    "attention_head_dim null": {"attention_head_dim": None},
    "attention everywhere": ATTENTION,
    "attention with resnets": {**ATTENTION, "downsample_type": "resnet", "upsample_type": "resnet"},
    "attn_norm_num_groups": {"attn_norm_num_groups": 2},
    "norm_eps": {"norm_eps": 0.01},
    "resnet blocks": RESNET,
    "scale_shift": {"resnet_time_scale_shift": "scale_shift"},
    "scale_shift, groups": {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 4},
    "scale_shift, resnet blocks, gelu": {**RESNET, "resnet_time_scale_shift": "scale_shift", "act_fn": "gelu"},
    "mid_block_type null": {"mid_block_type": None},
    "mid_block_scale_factor": {"mid_block_scale_factor": 1.5},
    "add_attention false": {"add_attention": False},
    "downsample_padding 0": {"downsample_padding": 0},
    "downsample_padding 2": {
        "downsample_padding": 2,
        "block_out_channels": [16],
        "down_block_types": ["AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D"],
    },
    "dropout": {"dropout": 0.5},
    "num_class_embeds": {"num_class_embeds": 10},
    "class_embed_type timestep": {"class_embed_type": "timestep"},
    "class_embed_type timestep, fourier": {"class_embed_type": "timestep", "time_embedding_type": "fourier"},
    "class_embed_type identity": {"class_embed_type": "identity"},
    "skip blocks": SKIP,
    "skip blocks, no groups": {**SKIP, "norm_num_groups": None, "mid_block_scale_factor": 2**0.5},
    "skip blocks, scale_shift": {**SKIP, "resnet_time_scale_shift": "scale_shift", "act_fn": "relu"},
    "skip blocks beside others": {
        "block_out_channels": [8, 16, 16],
        "down_block_types": ["SkipDownBlock2D", "DownBlock2D", "SkipDownBlock2D"],
        "up_block_types": ["UpBlock2D", "SkipUpBlock2D", "SkipUpBlock2D"],
    },
    "skip block at the end": {"up_block_types": ["AttnUpBlock2D", "SkipUpBlock2D"]},
    "skip blocks with attention": {
        "block_out_channels": [32, 32],
        "down_block_types": ["AttnSkipDownBlock2D"] * 2,
        "up_block_types": ["AttnSkipUpBlock2D"] * 2,
        "time_embedding_type": "fourier",
        "norm_num_groups": None,
        "attention_head_dim": None,
    },
    "ddpm-cifar10-32": {
        **GOOGLE,
        "layers_per_block": 2,
        "block_out_channels": [8, 16, 16, 16],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    },
    "ddpm-celebahq-256": {**SIX, **GOOGLE},
    "ddpm-cat-256": {**SIX, **GOOGLE, "block_out_channels": [4, 4, 8, 8, 16, 16]},
    "ddpm-butterflies-128": {**SIX, "attention_head_dim": 8},
}


def run(name, fields):
    torch.manual_seed(0)
    config = {**BASE, **fields}
    model = UNet2DModel(**config).eval()
    published = name.startswith("ddpm-")
    size, n = (32, 1) if published else (8, 2)
    state = {key: weight(old_name(key), value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict(state)
    fourier = config.get("time_embedding_type") == "fourier"
    t = torch.tensor(([0.7, 5.5] if fourier else [3, 71])[:n])
    labels = None
    if config.get("class_embed_type") == "identity":
        labels = numbers("classes", (n, model.time_embedding.linear_2.out_features))
    elif config.get("class_embed_type") or config.get("num_class_embeds"):
        labels = torch.tensor([2, 7][:n])
    x, target = (numbers(which, (n, 3, size, size), 3.0) for which in ("x", "target"))
    y = (model(x, t) if labels is None else model(x, t, class_labels=labels)).sample
    loss = torch.nn.functional.mse_loss(y, target)
    loss.backward()
    grads = {old_name(key): p.grad for key, p in model.named_parameters() if p.grad is not None}
    along = [(grads[key] * numbers(key + " direction", grads[key].shape)).sum() for key in sorted(grads)]
    parameters = sum(value.numel() for value in model.state_dict().values())
    return {"y": y.detach(), "loss": loss.detach().reshape(1), "grads": torch.stack(along)}, parameters


tensors, configs = {}, {}
for name, fields in CONFIGS.items():
    out, parameters = run(name, fields)
    tensors.update({f"{name}/{key}": value.contiguous() for key, value in out.items()})
    configs[name] = {"config": {**BASE, **fields}, "numbers": parameters}
    print(name, float(out["loss"]), parameters)
save_file(tensors, Path(__file__).with_name("unet-configs.safetensors"), {"configs": json.dumps(configs)})
