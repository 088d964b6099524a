"""The learner beside the stream: lessons in, candidates through the gate, versions out. `cavs-adapt serve`."""
