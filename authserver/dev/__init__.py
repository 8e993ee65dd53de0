"""What `authserver dev` serves and no other server does: `cli/server.py` adds it to the application, no setting does.

It is the home page, the mailbox, offline providers, and a clock that can be moved.
"""
