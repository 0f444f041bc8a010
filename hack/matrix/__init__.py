"""Verdicts: what ocishim says of an overlay, against what the overlay then does, kernel by kernel."""
