"""The ground floor: a model on disk, an engine in memory, the slot that swaps it. Never imports torch."""
