"""Reads the pipeline of a directory with the real Diffusers and writes it again; tests/interop/pipelines.ts calls it."""

import json
import sys

import torch
from diffusers import DDIMPipeline, DDPMPipeline

folder, steps = sys.argv[1], int(sys.argv[2])
pipeline = DDIMPipeline.from_pretrained(folder)
ancestral = DDPMPipeline.from_pretrained(folder)
for a, b in zip(pipeline.unet.parameters(), ancestral.unet.parameters()):
    assert torch.equal(a, b)
pipeline.set_progress_bar_config(disable=True)

unet, scheduler = pipeline.unet.eval(), pipeline.scheduler
x = torch.tensor(json.load(open(f"{folder}/start.json"))).reshape(2, 3, 16, 16)
scheduler.set_timesteps(steps)
with torch.no_grad():
    for t in scheduler.timesteps:
        x = scheduler.step(unet(x, t).sample, t, x).prev_sample
json.dump(x.flatten().tolist(), open(f"{folder}/drawn.json", "w"))

pipeline.save_pretrained(f"{folder}/whole")
pipeline.save_pretrained(f"{folder}/shards", max_shard_size="100KB")
pipeline.to(torch.bfloat16).save_pretrained(f"{folder}/brain")
DDIMPipeline.from_pretrained(folder).to(torch.float16).save_pretrained(f"{folder}/half", variant="fp16")
