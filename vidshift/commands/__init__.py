"""One module a command: its help and arguments, and the program that they are for.

Nothing here imports what takes time.
"""
