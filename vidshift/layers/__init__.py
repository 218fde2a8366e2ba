"""What networks and schemes are built of; knows no site and no scheme."""
