"""A trained network -> a bundle: ONNX graph, parity report. Imports torch and onnx."""
