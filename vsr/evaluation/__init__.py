"""Compare films and pictures, frame by frame. No reports: what comes out are numbers and frames."""
