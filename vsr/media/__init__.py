"""Video files and their times: probing, reading, writing, joining and verifying."""
