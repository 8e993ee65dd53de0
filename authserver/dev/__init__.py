"""What `authserver dev` serves and no other server: the home page, the mailbox, offline providers, a clock that can be

moved. `cli/server.py` adds it to the application; no setting does.
"""
