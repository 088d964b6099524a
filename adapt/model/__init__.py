"""The network, after ATLAS (arXiv 2603.08967): encoders, conditioning, fusion, decoder, heads, LoRA."""
