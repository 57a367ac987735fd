"""Metrics that compare pictures: tensors in, floats out."""
