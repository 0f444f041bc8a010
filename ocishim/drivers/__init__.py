"""Ways to mount an overlay: each gives `mount(step, target, …)` and raises MountError."""
