"""A comparison as JSON, CSV, a contact sheet or a page to look at. Measures nothing."""
