"""Makes pipeline.json: what Diffusers 0.42.1 writes for a pipeline, and what it draws.

pip install torch diffusers safetensors; python tests/golden/make_pipeline.py

The network's numbers, the noise at the beginning and that of each step follow from names, as in make_unet.py. The images
are those after the last step, NCHW, before they are clamped to what a picture has.
"""

import json
import tempfile
from pathlib import Path
from unittest import mock

import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel

source = Path(__file__).with_name("make_unet.py").read_text().split("BASE = {")[0]
exec(source)  # uniform, numbers, weight, old_name

SHAPE = (2, 3, 8, 8)
UNET = {
    "sample_size": 8,
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "attention_head_dim": 4,
    "norm_num_groups": 4,
}
PIPELINES = {
    "DDPM": (DDPMPipeline, DDPMScheduler, {}, 4),
    "DDPM, fixed_large, linspace": (
        DDPMPipeline,
        DDPMScheduler,
        {"variance_type": "fixed_large", "timestep_spacing": "linspace", "clip_sample_range": 2.0},
        5,
    ),
    "DDPM, v, trailing, zero SNR": (
        DDPMPipeline,
        DDPMScheduler,
        {
            "prediction_type": "v_prediction",
            "timestep_spacing": "trailing",
            "rescale_betas_zero_snr": True,
            "beta_schedule": "squaredcos_cap_v2",
        },
        4,
    ),
    "DDIM": (DDIMPipeline, DDIMScheduler, {"clip_sample": False}, 5),
    "DDIM, offset": (
        DDIMPipeline,
        DDIMScheduler,
        {"steps_offset": 1, "set_alpha_to_one": False, "beta_schedule": "scaled_linear"},
        4,
    ),
    "DDIM, trained betas, sample, trailing": (
        DDIMPipeline,
        DDIMScheduler,
        {
            "num_train_timesteps": 8,
            "trained_betas": [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5],
            "prediction_type": "sample",
            "timestep_spacing": "trailing",
            "thresholding": True,
        },
        4,
    ),
}

out = {}
for name, (kind, scheduler, fields, steps) in PIPELINES.items():
    unet = UNet2DModel(**UNET).eval()
    unet.load_state_dict({key: weight(old_name(key), value.shape) for key, value in unet.state_dict().items()})
    pipeline = kind(unet, scheduler(**fields))
    pipeline.set_progress_bar_config(disable=True)
    drawn = iter(range(1000))
    noise = lambda *args, **options: numbers(f"noise {next(drawn)}", SHAPE, 3.0)
    more = {"use_clipped_model_output": True} if kind is DDIMPipeline else {}
    last = []
    step = pipeline.scheduler.step

    def kept(*args, **options):
        result = step(*args, **options)
        last[:] = [result.prev_sample]
        return result

    module = pipeline.__class__.__module__
    with mock.patch(f"{module}.randn_tensor", noise), mock.patch(
        f"{scheduler.__module__}.randn_tensor", noise
    ), mock.patch.object(pipeline.scheduler, "step", kept):
        pipeline(batch_size=2, num_inference_steps=steps, output_type="np", **more)
    with tempfile.TemporaryDirectory() as folder:
        pipeline.save_pretrained(folder)
        files = {
            path: json.loads((Path(folder) / path).read_text())
            for path in ("model_index.json", "unet/config.json", "scheduler/scheduler_config.json")
        }
    out[name] = {"files": files, "steps": steps, "images": [round(v, 6) for v in last[0].flatten().tolist()]}
    print(name, steps, float(last[0].abs().max()))
Path(__file__).with_name("pipeline.json").write_text(json.dumps(out) + "\n")
