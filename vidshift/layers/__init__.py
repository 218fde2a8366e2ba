"""Parts of networks and schemes; knows no site and no scheme."""
