"""What docs/benchmarks.md claims, one module per claim. Each has `measure(plan) -> Result`; scripts/bench runs them."""
