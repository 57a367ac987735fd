"""Networks and interpolations behind one interface. They know no files and no devices."""
