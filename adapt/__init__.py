"""The network, the data, the continual-learning methods and the background learner. Imports torch."""
