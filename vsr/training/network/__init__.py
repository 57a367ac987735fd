"""The network that is trained: how it begins, what training changes in it, how it is exported."""
