"""Continual-learning methods: one file, one algorithm.

A method is what `cavs.adapt.methods.method.Method` says; `catalogue.make_method` makes one by its name. Every definition
is written from the paper's description; "our reading" marks what the papers leave open, and is an option where it can be.

RCIL (Zhang et al., CVPR 2022) is not here. It is a way of building the network, not of training it: every convolution is
doubled before a task (one branch frozen, one learning, mixed at random per channel) and the branches are merged into one
weight of full rank afterwards. Here the encoders are frozen and what a task changes must fit an adapter: low-rank pairs and
class rows. A merged convolution fits neither. Its distillation on pooled feature cubes is close kin to PLOP's local POD.
"""
