"""Layers of any backbone, by depth."""

from __future__ import annotations

from torch import nn

from multiemo.encoders.common.depth import depth_groups


def test_the_layers_are_the_list_of_most_parameters():
    front = nn.ModuleList(nn.Linear(2, 2) for _ in range(5))
    net = nn.Sequential(front, nn.ModuleList(nn.Linear(9, 9) for _ in range(2)), nn.ModuleList())
    assert [len(group) for group in depth_groups(net, net)] == [10, 2, 2, 0]


def test_a_backbone_without_layers_is_one_group():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
    assert [len(group) for group in depth_groups(net, net[0])] == [2, 2]
