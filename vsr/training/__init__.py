"""Training: pictures or videos in, weights out. Nothing here needs PyAV until a video is opened."""
