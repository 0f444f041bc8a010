"""Commands for people, by click: nothing here is imported on the way to a runtime."""
