"""Served by `authserver dev` alone: `cli/server.py` adds it to the application, and no setting does.

It is the home page, the mailbox, offline providers, and a clock that can be moved.
"""
