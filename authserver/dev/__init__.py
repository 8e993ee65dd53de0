"""What only development has: `app.py` registers the mailbox where AUTHSERVER_ENV is `development`, `authserver dev`

the rest: the home page, offline providers, a clock that can be moved. Production has no way to it.
"""
