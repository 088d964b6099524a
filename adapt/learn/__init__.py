"""Learning a new class from seconds of a stream: what `cavs-adapt serve` runs beside the live process."""
