"""Reports of a comparison: JSON, CSV, a contact sheet, an HTML page."""
