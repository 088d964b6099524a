"""Continual-learning protocols, the results matrix and its tables."""
