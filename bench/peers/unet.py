"""Diffusers' UNet2DModel (v0.11) in plain PyTorch, with its parameter names: the model that ours is compared with."""
import math

import torch
import torch.nn.functional as F
from torch import nn


class Resnet(nn.Module):
    def __init__(self, cin, cout, temb, groups, eps):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, cin, eps)
        self.conv1 = nn.Conv2d(cin, cout, 3, padding=1)
        self.time_emb_proj = nn.Linear(temb, cout)
        self.norm2 = nn.GroupNorm(groups, cout, eps)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(cin, cout, 1) if cin != cout else None

    def forward(self, x, temb):
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time_emb_proj(F.silu(temb))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return (self.conv_shortcut(x) if self.conv_shortcut is not None else x) + h


class Attention(nn.Module):
    def __init__(self, channels, head_dim, groups, eps):
        super().__init__()
        self.heads = channels // head_dim
        self.group_norm = nn.GroupNorm(groups, channels, eps)
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.proj_attn = nn.Linear(channels, channels)

    def split(self, x):
        b, t, c = x.shape
        return x.reshape(b, t, self.heads, c // self.heads).permute(0, 2, 1, 3).reshape(b * self.heads, t, -1)

    def forward(self, x):
        b, c, h, w = x.shape
        y = self.group_norm(x).view(b, c, h * w).transpose(1, 2)
        q, k, v = self.split(self.query(y)), self.split(self.key(y)), self.split(self.value(y))
        empty = torch.empty(q.shape[0], q.shape[1], k.shape[1])
        scores = torch.baddbmm(empty, q, k.transpose(-1, -2), beta=0, alpha=1 / math.sqrt(c / self.heads))
        y = torch.bmm(scores.softmax(-1), v)
        y = y.reshape(b, self.heads, h * w, -1).permute(0, 2, 1, 3).reshape(b, h * w, c)
        return self.proj_attn(y).transpose(-1, -2).reshape(b, c, h, w) + x


class Conv(nn.Module):
    """A convolution under the name `conv`, as the samplers have it."""

    def __init__(self, channels, stride):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=stride, padding=1)

    def forward(self, x):
        return self.conv(x)


class Block(nn.Module):
    def __init__(self, sizes, cout, attention, o):
        super().__init__()
        self.resnets = nn.ModuleList(Resnet(c, cout, *o) for c in sizes)
        if attention:
            self.attentions = nn.ModuleList(Attention(cout, attention, *o[1:]) for _ in sizes)

    def layer(self, i, x, temb):
        x = self.resnets[i](x, temb)
        return self.attentions[i](x) if hasattr(self, "attentions") else x


class Mid(nn.Module):
    def __init__(self, channels, head_dim, o):
        super().__init__()
        self.attentions = nn.ModuleList([Attention(channels, head_dim, *o[1:])])
        self.resnets = nn.ModuleList(Resnet(channels, channels, *o) for _ in range(2))

    def forward(self, x, temb):
        return self.resnets[1](self.attentions[0](self.resnets[0](x, temb)), temb)


class TimeEmbedding(nn.Module):
    def __init__(self, cin, dim):
        super().__init__()
        self.linear_1 = nn.Linear(cin, dim)
        self.linear_2 = nn.Linear(dim, dim)

    def forward(self, x):
        return self.linear_2(F.silu(self.linear_1(x)))


class UNet2DModel(nn.Module):
    """Takes the fields of Diffusers' config.json that our tests and presets use."""

    def __init__(self, config):
        super().__init__()
        channels, layers = config["block_out_channels"], config["layers_per_block"]
        groups, eps = config["norm_num_groups"], config.get("norm_eps", 1e-5)
        head_dim = config["attention_head_dim"]
        o = (channels[0] * 4, groups, eps)
        self.first = channels[0]
        self.conv_in = nn.Conv2d(config["in_channels"], channels[0], 3, padding=1)
        self.time_embedding = TimeEmbedding(channels[0], channels[0] * 4)
        self.down_blocks = nn.ModuleList()
        for i, c in enumerate(channels):
            cin = channels[max(i - 1, 0)]
            attention = head_dim if config["down_block_types"][i].startswith("Attn") else 0
            block = Block([cin] + [c] * (layers - 1), c, attention, o)
            if i < len(channels) - 1:
                block.downsamplers = nn.ModuleList([Conv(c, 2)])
            self.down_blocks.append(block)
        self.mid_block = Mid(channels[-1], head_dim, o)
        up = channels[::-1]
        self.up_blocks = nn.ModuleList()
        for i, c in enumerate(up):
            skip = up[min(i + 1, len(up) - 1)]
            sizes = [(up[max(i - 1, 0)] if j == 0 else c) + (skip if j == layers else c) for j in range(layers + 1)]
            attention = head_dim if config["up_block_types"][i].startswith("Attn") else 0
            block = Block(sizes, c, attention, o)
            if i < len(up) - 1:
                block.upsamplers = nn.ModuleList([Conv(c, 1)])
            self.up_blocks.append(block)
        self.conv_norm_out = nn.GroupNorm(groups, channels[0], eps)
        self.conv_out = nn.Conv2d(channels[0], config["out_channels"], 3, padding=1)

    def forward(self, x, t):
        half = self.first // 2
        angles = t[:, None].float() * torch.exp(-math.log(10000) * torch.arange(half) / half)[None]
        temb = self.time_embedding(torch.cat([angles.cos(), angles.sin()], -1))
        x = self.conv_in(x)
        skips = [x]
        for block in self.down_blocks:
            for i in range(len(block.resnets)):
                x = block.layer(i, x, temb)
                skips.append(x)
            if hasattr(block, "downsamplers"):
                x = block.downsamplers[0](x)
                skips.append(x)
        x = self.mid_block(x, temb)
        for block in self.up_blocks:
            for i in range(len(block.resnets)):
                x = block.layer(i, torch.cat([x, skips.pop()], 1), temb)
            if hasattr(block, "upsamplers"):
                x = block.upsamplers[0](F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.conv_out(F.silu(self.conv_norm_out(x)))
