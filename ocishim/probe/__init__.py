"""Facts about this host, found by looking and by trying; what they mean is decided elsewhere."""
