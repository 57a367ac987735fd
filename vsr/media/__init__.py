"""Files and time: probing, reading, writing, joining and verifying. No models."""
