"""Networks and interpolations behind one interface. No files, no devices."""
