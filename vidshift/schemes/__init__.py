"""Tables of one config under several schemes: `vidshift schemes`."""
