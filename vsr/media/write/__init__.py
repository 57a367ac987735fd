"""Encoding clips to segment files, and verifying the file that is made of them."""
