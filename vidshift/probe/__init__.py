"""How good a network's features are on a small labelled task."""
