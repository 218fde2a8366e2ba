"""Scores a network's features on a small labelled task."""
