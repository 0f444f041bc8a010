"""How fast ocishim is: its own start-up, and I/O on what it mounts. hack/bench runs this."""
