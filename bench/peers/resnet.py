"""miniai's `get_model` (lesson notebook 14) in PyTorch: the classifier that ours is compared with."""
import torch.nn.functional as F
from torch import nn


class GeneralRelu(nn.Module):
    def forward(self, x):
        return F.leaky_relu(x, 0.1) - 0.4


def conv(ni, nf, ks=3, stride=2, act=True, norm=True):
    layers = [nn.Conv2d(ni, nf, ks, stride=stride, padding=ks // 2)]
    if norm:
        layers.append(nn.BatchNorm2d(nf))
    if act:
        layers.append(GeneralRelu())
    return nn.Sequential(*layers)


class ResBlock(nn.Module):
    def __init__(self, ni, nf, ks=3, stride=1):
        super().__init__()
        self.convs = nn.Sequential(conv(ni, nf, ks, stride=1), conv(nf, nf, ks, stride=stride, act=False))
        self.idconv = nn.Identity() if ni == nf else conv(ni, nf, 1, stride=1, act=False, norm=False)
        self.pool = nn.Identity() if stride == 1 else nn.AvgPool2d(2, ceil_mode=True)
        self.act = GeneralRelu()

    def forward(self, x):
        return self.act(self.convs(x) + self.idconv(self.pool(x)))


def get_model():
    nfs = (16, 32, 64, 128, 256, 512)
    layers = [ResBlock(1, 16, ks=5)] + [ResBlock(a, b, stride=2) for a, b in zip(nfs, nfs[1:])]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10, bias=False), nn.BatchNorm1d(10))
