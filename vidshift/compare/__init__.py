"""Runs side by side: `vidshift compare`."""
