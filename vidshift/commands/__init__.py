"""Help and arguments of the commands, a module each, and the program each one runs.

Nothing here imports what takes time.
"""
