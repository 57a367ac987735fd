"""Numbers that compare pictures. Tensors in, floats out; no files, no networks of their own."""
