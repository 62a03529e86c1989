"""The cryptographic parts of section 3, in plain Python."""
