"""Choosing frames of videos: to train on, to preview, to show on a contact sheet."""
